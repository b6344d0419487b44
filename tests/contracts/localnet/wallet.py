"""What the tests use to talk to the chain: a key that signs, and a client that has every answer judged."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import base58
from nacl.signing import SigningKey

from contracts.calls import Action, FunctionCall, Transfer
from contracts.signing.transaction import (
    SignedTransaction,
    Transaction,
    encode_transaction,
    signed_transaction,
    transaction_hash,
)
from contracts.types import TGAS, AccountId, CryptoHash, Gas, PublicKey, Yocto
from tests.judges.openapi_judge import Judge

JUDGE: Final = Judge("near-rpc-openapi.json")
NEAR: Final = 10**24
ALICE: Final = AccountId("alice.localnet")
BOB: Final = AccountId("bob.localnet")
CAROL: Final = AccountId("carol.localnet")
USDC: Final = AccountId("usdc.localnet")


@dataclass(frozen=True, slots=True)
class Wallet:
    """One account with one key, read from near-cli's file form."""

    account_id: AccountId
    key: SigningKey = field(repr=False)

    @classmethod
    def load(cls, data_dir: Path, account_id: AccountId) -> "Wallet":
        path = data_dir / "localnet" / "credentials" / f"{account_id}.json"
        secret = json.loads(path.read_text())["private_key"].removeprefix("ed25519:")
        return cls(account_id, SigningKey(base58.b58decode(secret)[:32]))

    @property
    def public_key(self) -> PublicKey:
        return PublicKey.from_bytes("ed25519", bytes(self.key.verify_key))

    def sign(
        self, receiver_id: AccountId, actions: Sequence[Action], nonce: int, block_hash: CryptoHash
    ) -> SignedTransaction:
        transaction = Transaction(self.account_id, self.public_key, nonce, receiver_id, block_hash, tuple(actions))
        unsigned = encode_transaction(transaction)
        return signed_transaction(transaction, unsigned, self.key.sign(transaction_hash(unsigned).raw).signature)


@dataclass(slots=True)
class Probe:
    """A JSON-RPC client; each answer must conform to the OpenAPI document."""

    http: aiohttp.ClientSession
    url: str

    async def call(self, method: str, params: object, *, status: int = 200) -> Any:
        """The whole envelope."""
        body = {"jsonrpc": "2.0", "id": "t", "method": method, "params": params}
        async with self.http.post(self.url, json=body) as response:
            envelope = await response.json()
            assert response.status == status, envelope
        assert JUDGE.response("post", f"/{method}", envelope) == [], envelope
        assert envelope["id"] == "t"
        return envelope

    async def result(self, method: str, params: object) -> Any:
        envelope = await self.call(method, params)
        assert "result" in envelope, envelope
        return envelope["result"]

    async def error(self, method: str, params: object, *, status: int = 200) -> Any:
        envelope = await self.call(method, params, status=status)
        assert "error" in envelope, envelope
        return envelope["error"]

    async def query(self, request_type: str, **params: object) -> Any:
        params.setdefault("finality", "final") if "block_id" not in params else None
        return await self.result("query", {"request_type": request_type, **params})

    async def balance(self, account_id: AccountId) -> int:
        return int((await self.query("view_account", account_id=account_id))["amount"])

    async def nonce(self, wallet: Wallet) -> int:
        answer = await self.query("view_access_key", account_id=wallet.account_id, public_key=wallet.public_key)
        return int(answer["nonce"])

    async def head(self) -> CryptoHash:
        return CryptoHash((await self.result("block", {"finality": "optimistic"}))["header"]["hash"])

    async def view(self, contract_id: AccountId, method_name: str, args: object) -> Any:
        raw = base64.b64encode(json.dumps(args).encode()).decode()
        answer = await self.query("call_function", account_id=contract_id, method_name=method_name, args_base64=raw)
        return json.loads(bytes(answer["result"]))

    async def send(self, signed: SignedTransaction, wait_until: str = "FINAL") -> Any:
        return await self.result("send_tx", send_params(signed, wait_until))

    async def refused(self, signed: SignedTransaction) -> Any:
        """The InvalidTxError of a refusal."""
        error = await self.error("send_tx", send_params(signed, "FINAL"))
        assert error["cause"] == {"name": "INVALID_TRANSACTION", "info": {}}
        return error["data"]["TxExecutionError"]["InvalidTxError"]

    async def signed(
        self, wallet: Wallet, receiver_id: AccountId, *actions: Action, ahead: int = 1
    ) -> SignedTransaction:
        """Signed with the key's nonce on chain plus `ahead`, at the latest block."""
        return wallet.sign(receiver_id, actions, await self.nonce(wallet) + ahead, await self.head())


def send_params(signed: SignedTransaction, wait_until: str) -> dict[str, str]:
    return {"signed_tx_base64": base64.b64encode(signed.data).decode(), "wait_until": wait_until}


def transfer(yocto: int) -> Transfer:
    return Transfer(Yocto(yocto))


def call(method_name: str, args: object, deposit: int = 0, tgas: int = 30) -> FunctionCall:
    return FunctionCall(method_name, json.dumps(args).encode(), Gas(tgas * TGAS), Yocto(deposit))
