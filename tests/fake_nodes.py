"""RPC nodes over real sockets that misbehave as told, on a small chain that several of them can share."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeAlias

from aiohttp import web
from nacl.signing import VerifyKey
from pydantic import JsonValue

from contracts.calls import FunctionCall, Transfer
from contracts.errors import ContractsError
from contracts.signing.transaction import SignedTransaction, decode_signed_transaction
from contracts.types import CryptoHash, JsonObject, PublicKey

VALIDITY = 100
"""Blocks in which a transaction of the fake chain can be included."""
GAS_PRICE = 10**8
FIRST_NONCE = 500 * 10**6
TRANSFER_GAS = 446_500_000_000


class FakeChain:
    """Accounts with one full-access key each; a block per transaction, final `finality_lag` blocks later."""

    def __init__(self, public_keys: dict[str, PublicKey], *, finality_lag: int = 0, balance: int = 10**28) -> None:
        self.height = 1000
        self.finality_lag = finality_lag
        self.public_keys = dict(public_keys)
        self.balances = dict.fromkeys(public_keys, balance)
        self.nonces: dict[str, int] = dict.fromkeys(public_keys, FIRST_NONCE)
        """Of accounts' first keys, and of others by their name."""
        self.more_keys: dict[str, list[PublicKey]] = {}
        """Further full-access keys."""
        self.gas_keys: dict[str, list[int]] = {}
        """Accounts whose key is a gas key: its nonces."""
        self.executed: dict[str, tuple[SignedTransaction, int, bool]] = {}
        """Hash -> transaction, height, whether it succeeded."""
        self.order: list[str] = []
        self.contracts: dict[str, bytes] = {}
        """Accounts with code."""
        self.views: dict[tuple[str, str], bytes] = {}
        """What contracts' methods answer."""

    @property
    def final_height(self) -> int:
        return self.height - self.finality_lag

    def advance(self, blocks: int) -> None:
        self.height += blocks

    def refusal(self, tx: SignedTransaction) -> JsonValue:
        """nearcore's InvalidTxError, or None where it can be included."""
        signer, key = tx.transaction.signer_id, self.public_keys.get(tx.transaction.signer_id)
        if key is None:
            return {"SignerDoesNotExist": {"signer_id": signer}}
        own = tx.transaction.public_key
        if own != key and own not in self.more_keys.get(signer, []):
            return {"InvalidAccessKeyError": {"AccessKeyNotFound": {"account_id": signer, "public_key": key}}}
        VerifyKey(own.raw).verify(tx.tx_hash.raw, tx.signature)
        known = self.nonce_of(tx)
        strict = tx.transaction.nonce_mode == "strict"
        if tx.transaction.nonce <= known or (strict and tx.transaction.nonce != known + 1):
            return {"InvalidNonce": {"tx_nonce": tx.transaction.nonce, "ak_nonce": known}}
        reference = next((h for h in range(self.height + 1) if block_hash(h) == tx.transaction.block_hash), None)
        if reference is None or reference + VALIDITY < self.height:
            return "Expired"
        cost = _deposit(tx) + TRANSFER_GAS * GAS_PRICE
        if cost > self.balances[signer]:
            return {"NotEnoughBalance": {"signer_id": signer, "balance": str(self.balances[signer]), "cost": str(cost)}}
        return None

    def nonce_of(self, tx: SignedTransaction) -> int:
        """The newest nonce of the transaction's key, or of the gas key's index that it names."""
        signer, index = tx.transaction.signer_id, tx.transaction.nonce_index
        if index is not None:
            return self.gas_keys[signer][index]
        first = tx.transaction.public_key == self.public_keys[signer]
        return self.nonces[signer] if first else self.nonces.get(tx.transaction.public_key, FIRST_NONCE)

    def include(self, tx: SignedTransaction) -> None:
        """Execute a transaction in a block of its own."""
        assert tx.tx_hash not in self.executed
        assert self.refusal(tx) is None
        signer, receiver, amount = tx.transaction.signer_id, tx.transaction.receiver_id, _deposit(tx)
        self.height += 1
        index = tx.transaction.nonce_index
        if index is not None:
            self.gas_keys[signer][index] = tx.transaction.nonce
        elif tx.transaction.public_key == self.public_keys[signer]:
            self.nonces[signer] = tx.transaction.nonce
        else:
            self.nonces[tx.transaction.public_key] = tx.transaction.nonce
        self.balances[signer] -= TRANSFER_GAS * GAS_PRICE
        exists = receiver in self.balances
        if exists:
            self.balances[signer] -= amount
            self.balances[receiver] += amount
        self.executed[tx.tx_hash] = (tx, self.height, exists)
        self.order.append(tx.tx_hash)


@cache
def block_hash(height: int) -> CryptoHash:
    return CryptoHash.of(f"block {height}".encode())


def _deposit(tx: SignedTransaction) -> int:
    return sum(action.deposit for action in tx.transaction.actions if isinstance(action, Transfer | FunctionCall))


Fault: TypeAlias = Literal["timeout", "drop", "lost", "html_502", "routed", "refuse", "hang", "garbage"]
"""What goes wrong with a send. `timeout` and `drop` execute first; `lost` takes the bytes and forgets them."""


@dataclass
class FakeNode:
    """One node's behaviour over a chain that it may share with others."""

    chain: FakeChain
    faults: list[Fault | None] = field(default_factory=list[Fault | None])
    """For the next sends, in order; None: none."""
    resent: Literal["outcome", "InvalidNonce"] = "outcome"
    """How it answers bytes that were executed: as a node that knows them, or as one behind a balancer that does not."""
    blind: bool = False
    """It finds no transaction by hash."""
    lag: int = 0
    """Blocks behind the chain, as seen in its answers."""
    earliest: int = 1
    no_receipts: bool = False
    """It does not serve EXPERIMENTAL_tx_status."""
    validity: int = VALIDITY
    refusal: JsonValue = None
    """With the fault `refuse`: the InvalidTxError."""
    chain_id: str = "localnet"
    genesis_hash: str | None = None
    protocol_version: int = 86
    latest_time: str = "2026-11-20T10:00:00.123456789Z"
    delay_s: float = 0.0
    """Before every answer."""
    lies: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    """Request name -> fields that its answer has otherwise."""
    refuses: dict[str, str] = field(default_factory=dict[str, str])
    """Request name -> the error that it is answered with."""
    broken: bool = False
    """It answers with a proxy's page."""
    hangs: set[str] = field(default_factory=set[str])
    """Requests that are not answered for half a minute."""
    invents: bool = False
    """It keeps what it is sent to itself, and calls it executed."""
    invented: dict[str, tuple[SignedTransaction, int, bool]] = field(
        default_factory=dict[str, tuple[SignedTransaction, int, bool]]
    )
    on_call: Callable[[str], None] | None = None
    """Told the name of each request before it is answered."""
    calls: list[str] = field(default_factory=list[str])
    sends: list[bytes] = field(default_factory=list[bytes])
    looked_up: list[CryptoHash] = field(default_factory=list[CryptoHash])
    """Hashes that it was asked about."""

    @property
    def head(self) -> int:
        return self.chain.height - self.lag

    @property
    def final(self) -> int:
        return min(self.head, self.chain.final_height)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        method, params = body["method"], body["params"]
        name = method if method != "query" else params["request_type"]
        self.calls.append(name)
        if self.on_call is not None:
            self.on_call(name)
        if self.delay_s or name in self.hangs:
            await asyncio.sleep(30 if name in self.hangs else self.delay_s)
        if self.broken:
            return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
        if name in self.refuses:
            return _error(body["id"], self.refuses[name], {})
        if method == "send_tx":
            return await self._send(request, body["id"], params)
        try:
            result = self._result(method, params)
        except ContractsError as error:
            return _error(body["id"], error.code, error.details)
        if name in self.lies and isinstance(result, dict):
            result = {**result, **self.lies[name]}
        return _result(body["id"], result)

    async def _send(self, request: web.Request, request_id: str, params: JsonObject) -> web.StreamResponse:
        data = base64.b64decode(str(params["signed_tx_base64"]))
        self.sends.append(data)
        tx = decode_signed_transaction(data)
        fault = self.faults.pop(0) if self.faults else None
        if fault == "refuse":
            return _invalid(request_id, self.refusal)
        if self.invents:
            self.invented.setdefault(tx.tx_hash, (tx, self.head, True))
        if fault in {"timeout", "drop", "hang"} and tx.tx_hash not in self.chain.executed:
            self.chain.include(tx)
        match fault:
            case "timeout":
                return _error(request_id, "TIMEOUT_ERROR", {}, status=408)
            case "drop" | "lost":
                assert request.transport is not None
                request.transport.abort()
                await asyncio.sleep(0)
                return web.Response()
            case "hang":
                await asyncio.sleep(30)
            case "html_502":
                return web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html")
            case "garbage":
                return web.Response(text='{"jsonrpc": "2.0", "id": "someone else", "result": {}}')
            case "routed":
                return _error(request_id, "REQUEST_ROUTED", {"transaction_hash": tx.tx_hash})
            case _:
                pass
        known = tx.tx_hash in self.invented or (tx.tx_hash in self.chain.executed and self.resent == "outcome")
        if not known:
            refusal = self.chain.refusal(tx)
            if refusal is not None:
                return _invalid(request_id, refusal)
            self.chain.include(tx)
        return _result(request_id, self._transaction(tx.tx_hash, receipts=False))

    def _result(self, method: str, params: JsonValue) -> JsonValue:
        asked = params if isinstance(params, dict) else {}
        match method:
            case "query":
                return self._query(asked)
            case "block":
                return self._block(self._height(asked))
            case "status":
                return self._status()
            case "gas_price":
                return {"gas_price": str(GAS_PRICE)}
            case "EXPERIMENTAL_protocol_config":
                return self._config()
            case "tx":
                return self._known(asked, receipts=False)
            case "EXPERIMENTAL_tx_status" if not self.no_receipts:
                return self._known(asked, receipts=True)
            case _:
                raise ContractsError("METHOD_NOT_FOUND", method)

    def _height(self, asked: JsonObject) -> int:
        wanted = asked.get("block_id")
        if wanted is None:
            return self.final if asked.get("finality") == "final" else self.head
        height = next((h for h in range(self.head + 1) if wanted in (h, block_hash(h))), None)
        if height is None:
            raise ContractsError("UNKNOWN_BLOCK", str(wanted))
        return height

    def _query(self, asked: JsonObject) -> JsonValue:
        height = self._height(asked)
        at: JsonObject = {"block_height": height, "block_hash": block_hash(height)}
        account_id = str(asked["account_id"])
        if account_id not in self.chain.balances:
            raise ContractsError("UNKNOWN_ACCOUNT", account_id, details=at)
        code = self.chain.contracts.get(account_id)
        if asked["request_type"] == "view_account":
            amount, code_hash = str(self.chain.balances[account_id]), "1" * 32 if code is None else CryptoHash.of(code)
            return {"amount": amount, "locked": "0", "code_hash": code_hash, "storage_usage": 182, **at}
        if asked["request_type"] == "view_code" and code is not None:
            return {"code_base64": base64.b64encode(code).decode(), "hash": CryptoHash.of(code), **at}
        if asked["request_type"] == "call_function":
            return {**self._call(account_id, str(asked["method_name"])), **at}
        key = str(asked["public_key"])
        if key not in (self.chain.public_keys.get(account_id), *self.chain.more_keys.get(account_id, [])):
            raise ContractsError("UNKNOWN_ACCESS_KEY", account_id, details=at)
        if asked["request_type"] == "view_gas_key_nonces":
            return {"nonces": [*self.chain.gas_keys[account_id]], **at}
        if account_id in self.chain.gas_keys:
            purse: JsonObject = {"balance": str(10**24), "num_nonces": len(self.chain.gas_keys[account_id])}
            return {"nonce": 0, "permission": {"GasKeyFullAccess": purse}, **at}
        past = [tx for tx, included, _ in self.chain.executed.values() if included <= height]
        mine = [
            tx.transaction.nonce
            for tx in past
            if (tx.transaction.signer_id, tx.transaction.public_key) == (account_id, key)
        ]
        return {"nonce": max([FIRST_NONCE, *mine]), "permission": "FullAccess", **at}

    def _call(self, account_id: str, method_name: str) -> JsonObject:
        answer = self.chain.views.get((account_id, method_name))
        if answer is None:
            error: JsonValue = {"MethodResolveError": "MethodNotFound"}
            raise ContractsError("CONTRACT_EXECUTION_ERROR", method_name, details={"error": error})
        return {"result": [*answer], "logs": []}

    def _block(self, height: int) -> JsonValue:
        header: JsonObject = {
            "height": height,
            "hash": block_hash(height),
            "prev_hash": block_hash(height - 1),
            "timestamp_nanosec": str(height * 10**9),
            "gas_price": str(GAS_PRICE),
        }
        return {"author": "node0", "chunks": [], "header": header}

    def _status(self) -> JsonValue:
        return {
            "chain_id": self.chain_id,
            "genesis_hash": self.genesis_hash,
            "protocol_version": self.protocol_version,
            "version": {"version": "2.13.0", "build": "fake"},
            "sync_info": {
                "latest_block_height": self.head,
                "latest_block_hash": block_hash(self.head),
                "latest_block_time": self.latest_time,
                "earliest_block_height": self.earliest,
                "syncing": False,
            },
        }

    def _config(self) -> JsonValue:
        fee: JsonValue = {"send_sir": 1, "send_not_sir": 10**11, "execution": 10**11}
        limits: JsonValue = {
            "max_gas_burnt": 10**15,
            "max_total_prepaid_gas": 10**15,
            "max_transaction_size": 1_572_864,
            "max_actions_per_receipt": 100,
        }
        costs: JsonValue = {
            "action_receipt_creation_config": fee,
            "action_creation_config": {"transfer_cost": fee, "function_call_cost": fee},
        }
        return {
            "chain_id": self.chain_id,
            "protocol_version": self.protocol_version,
            "genesis_height": 0,
            "epoch_length": 43200,
            "transaction_validity_period": self.validity,
            "min_gas_price": str(GAS_PRICE),
            "max_gas_price": str(20 * GAS_PRICE),
            "runtime_config": {
                "storage_amount_per_byte": str(10**19),
                "transaction_costs": costs,
                "wasm_config": {"limit_config": limits},
            },
        }

    def _known(self, asked: JsonObject, *, receipts: bool) -> JsonValue:
        tx_hash = str(asked["tx_hash"])
        self.looked_up.append(CryptoHash(tx_hash))
        found = self.invented.get(tx_hash) or self.chain.executed.get(tx_hash)
        if found is None or self.blind or found[1] > self.head:
            raise ContractsError("UNKNOWN_TRANSACTION", tx_hash, details={"requested_transaction_hash": tx_hash})
        return self._transaction(tx_hash, receipts=receipts)

    def _transaction(self, tx_hash: str, *, receipts: bool) -> JsonValue:
        tx, height, exists = self.invented.get(tx_hash) or self.chain.executed[tx_hash]
        receipt_id = CryptoHash.of(tx.tx_hash.raw)
        failure: JsonValue = {
            "ActionError": {"index": 0, "kind": {"AccountDoesNotExist": {"account_id": tx.transaction.receiver_id}}}
        }
        status: JsonValue = {"SuccessValue": ""} if exists else {"Failure": failure}
        actions: list[JsonValue] = [{"Transfer": {"deposit": str(_deposit(tx))}}]
        answer: JsonObject = {
            "final_execution_status": "FINAL" if height <= self.final else "EXECUTED_OPTIMISTIC",
            "status": status,
            "transaction": {
                "hash": tx_hash,
                "signer_id": tx.transaction.signer_id,
                "public_key": tx.transaction.public_key,
                "nonce": tx.transaction.nonce,
                "receiver_id": tx.transaction.receiver_id,
                "actions": actions,
            },
            "transaction_outcome": _outcome(
                tx_hash, height, tx.transaction.signer_id, {"SuccessReceiptId": receipt_id}, [receipt_id]
            ),
            "receipts_outcome": [_outcome(receipt_id, height, tx.transaction.receiver_id, status, [])],
        }
        if receipts:
            body: JsonObject = {"signer_id": tx.transaction.signer_id, "actions": actions}
            answer["receipts"] = [
                {
                    "receipt_id": receipt_id,
                    "predecessor_id": tx.transaction.signer_id,
                    "receiver_id": tx.transaction.receiver_id,
                    "receipt": {"Action": body},
                }
            ]
        return answer


def _outcome(name: str, height: int, executor: str, status: JsonValue, receipt_ids: list[CryptoHash]) -> JsonValue:
    return {
        "id": name,
        "block_hash": block_hash(height),
        "outcome": {
            "executor_id": executor,
            "logs": [],
            "receipt_ids": [*receipt_ids],
            "gas_burnt": 223_182_562_500,
            "tokens_burnt": "22318256250000000000",
            "status": status,
        },
    }


def _result(request_id: str, result: JsonValue) -> web.Response:
    return web.json_response({"jsonrpc": "2.0", "id": request_id, "result": result})


def _error(request_id: str, name: str, info: JsonObject, *, status: int = 200) -> web.Response:
    cause = {"name": name, "info": info}
    error = {"name": "HANDLER_ERROR", "cause": cause, "code": -32000, "message": "Server error", "data": name}
    return web.json_response({"jsonrpc": "2.0", "id": request_id, "error": error}, status=status)


def _invalid(request_id: str, refusal: JsonValue) -> web.Response:
    error: JsonObject = {
        "name": "HANDLER_ERROR",
        "cause": {"name": "INVALID_TRANSACTION", "info": {}},
        "code": -32000,
        "message": "Server error",
        "data": {"TxExecutionError": {"InvalidTxError": refusal}},
    }
    return web.json_response({"jsonrpc": "2.0", "id": request_id, "error": error})


@asynccontextmanager
async def serve(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncGenerator[str, None]:
    """A handler on a free loopback port; yields its URL."""
    app = web.Application(client_max_size=8 * 1024 * 1024)
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
