"""V1 transactions, gas keys, delegate actions and global contracts over JSON-RPC; every answer conforms to nearcore's document."""

import base64
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nacl.signing import SigningKey

from contracts.calls import (
    Action,
    AddKey,
    DelegateAction,
    DeployGlobalContract,
    DeterministicStateInit,
    FullAccess,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    GlobalAccountId,
    GlobalCodeHash,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
)
from contracts.localnet.init import chain_path
from contracts.signing.action_bytes import deterministic_account_id
from contracts.signing.messages import delegate_hash, signed_delegate
from contracts.signing.signatures import secp256k1_public_key, unsafe_secp256k1_sign
from contracts.signing.transaction import (
    SignedTransaction,
    Transaction,
    encode_transaction,
    signed_transaction,
    transaction_hash,
)
from contracts.types import CryptoHash, PublicKey, Yocto
from tests.contracts.localnet.conftest import Open
from tests.contracts.localnet.wallet import ALICE, BOB, CAROL, NEAR, USDC, Probe, Wallet, transfer
from tests.contracts.vm.wat_contract import WatContract

GAS_SEED = bytes(range(32))
GAS = PublicKey.from_bytes("ed25519", bytes(SigningKey(GAS_SEED).verify_key))
SECP_SECRET = bytes(range(1, 33))


def answering() -> bytes:
    contract = WatContract()
    contract.method("say", contract.returns('"global"'))
    return contract.code()


def v1(transaction: Transaction, seed: bytes) -> SignedTransaction:
    data = encode_transaction(transaction)
    return signed_transaction(transaction, data, SigningKey(seed).sign(transaction_hash(data).raw).signature)


async def drafted(probe: Probe, key: PublicKey, nonce: int, *actions: Action) -> Transaction:
    return Transaction(ALICE, key, nonce, BOB, await probe.head(), actions, version=1)


async def test_a_strict_nonce_has_no_gap(probe: Probe, alice: Wallet) -> None:
    last = await probe.nonce(alice)
    transaction = replace(await drafted(probe, alice.public_key, last + 2, transfer(1)), nonce_mode="strict")
    assert await probe.refused(v1(transaction, bytes(alice.key))) == {
        "InvalidNonce": {"tx_nonce": last + 2, "ak_nonce": last}
    }
    answer = await probe.send(v1(replace(transaction, nonce=last + 1), bytes(alice.key)))
    assert answer["transaction"]["nonce_mode"] == "strict"
    assert answer["status"] == {"SuccessValue": ""}


async def test_a_gas_key_pays_from_its_purse(opened: Open, alice: Wallet) -> None:
    async with opened() as (probe, _):
        permission = GasKeyFullAccess(Yocto(0), 2)
        await probe.send(await probe.signed(alice, ALICE, AddKey(GAS, permission)))
        await probe.send(await probe.signed(alice, ALICE, TransferToGasKey(GAS, Yocto(NEAR))))
        nonces = (await probe.query("view_gas_key_nonces", account_id=ALICE, public_key=GAS))["nonces"]
        transaction = replace(await drafted(probe, GAS, nonces[1] + 1, transfer(5)), nonce_index=1)
        before = await probe.balance(ALICE)
        signed = v1(transaction, GAS_SEED)
        answer = await probe.send(signed)
        assert (answer["transaction"]["nonce_index"], answer["transaction"]["nonce_mode"]) == (1, "monotonic")
        assert await probe.balance(ALICE) == before - 5
    async with opened() as (probe, _):  # the purse and the nonces are on disk
        again = (await probe.query("view_gas_key_nonces", account_id=ALICE, public_key=GAS))["nonces"]
        assert again == [nonces[0], nonces[1] + 1]
        key = await probe.query("view_access_key", account_id=ALICE, public_key=GAS)
        purse = key["permission"]["GasKeyFullAccess"]
        assert (key["nonce"], purse["num_nonces"]) == (0, 2)
        assert 0 < int(purse["balance"]) < NEAR
        assert (await probe.send(signed))["transaction"]["hash"] == signed.tx_hash
        listed = await probe.query("view_access_key_list", account_id=ALICE)
        assert {"public_key": GAS, "access_key": {name: key[name] for name in ("nonce", "permission")}} in listed[
            "keys"
        ]


async def test_keys_without_nonces_have_none_to_view(probe: Probe, alice: Wallet) -> None:
    error = await probe.error(
        "query",
        {
            "request_type": "view_gas_key_nonces",
            "finality": "final",
            "account_id": ALICE,
            "public_key": alice.public_key,
        },
    )
    assert error["cause"]["name"] == "UNKNOWN_GAS_KEY"


async def test_keys_of_every_kind_are_shown(probe: Probe, alice: Wallet) -> None:
    ml_dsa = PublicKey.from_bytes("ml-dsa-65", bytes(1952))
    limited = GasKeyFunctionCallAccess(Yocto(0), 1, USDC, ("ft_transfer",))
    added = AddKey(GAS, limited), AddKey(ml_dsa, FullAccess()), AddKey(secp256k1_public_key(SECP_SECRET), FullAccess())
    answer = await probe.send(await probe.signed(alice, ALICE, *added))
    assert answer["status"] == {"SuccessValue": ""}
    keys = (await probe.query("view_access_key_list", account_id=ALICE))["keys"]
    assert {item["public_key"] for item in keys} >= {GAS, ml_dsa.listed, secp256k1_public_key(SECP_SECRET)}
    permission = next(item["access_key"]["permission"] for item in keys if item["public_key"] == GAS)
    assert permission["GasKeyFunctionCall"]["method_names"] == ["ft_transfer"]


async def test_a_secp256k1_key_sends(probe: Probe, alice: Wallet) -> None:
    key = secp256k1_public_key(SECP_SECRET)
    await probe.send(await probe.signed(alice, ALICE, AddKey(key, FullAccess())))
    nonce = (await probe.query("view_access_key", account_id=ALICE, public_key=key))["nonce"] + 1
    transaction = Transaction(ALICE, key, nonce, BOB, await probe.head(), (transfer(7),))
    data = encode_transaction(transaction)
    signed = signed_transaction(transaction, data, unsafe_secp256k1_sign(SECP_SECRET, transaction_hash(data).raw))
    answer = await probe.send(signed)
    assert answer["transaction"]["signature"].startswith("secp256k1:")
    assert answer["status"] == {"SuccessValue": ""}


async def test_a_relayer_carries_a_delegate_action(probe: Probe, alice: Wallet, bob: Wallet) -> None:
    inner = DelegateAction(
        ALICE, CAROL, (Transfer(Yocto(NEAR)),), await probe.nonce(alice) + 1, 10**6, alice.public_key
    )
    delegate = signed_delegate(inner, alice.key.sign(delegate_hash(inner)).signature)
    before = {name: await probe.balance(name) for name in (ALICE, BOB, CAROL)}
    answer = await probe.send(await probe.signed(bob, ALICE, delegate))
    shown = answer["transaction"]["actions"][0]["Delegate"]["delegate_action"]
    assert (shown["sender_id"], shown["actions"]) == (ALICE, [{"Transfer": {"deposit": str(NEAR)}}])
    assert await probe.balance(CAROL) == before[CAROL] + NEAR
    assert await probe.balance(ALICE) == before[ALICE]
    assert await probe.balance(BOB) < before[BOB] - NEAR
    again = await probe.send(await probe.signed(bob, ALICE, delegate))
    assert "DelegateActionInvalidNonce" in str(again["status"])
    assert await probe.balance(CAROL) == before[CAROL] + NEAR


async def test_a_global_contract_is_published_used_and_shown(opened: Open, alice: Wallet, bob: Wallet) -> None:
    code = answering()
    code_hash = CryptoHash.of(code)
    async with opened() as (probe, _):
        await probe.send(await probe.signed(alice, ALICE, DeployGlobalContract(code, "code_hash")))
        await probe.send(await probe.signed(alice, ALICE, DeployGlobalContract(code, "account_id")))
        answer = await probe.send(await probe.signed(bob, BOB, UseGlobalContract(GlobalAccountId(ALICE))))
        assert answer["transaction"]["actions"] == [{"UseGlobalContractByAccountId": {"account_id": ALICE}}]
        init = StateInit(GlobalCodeHash(code_hash), ((b"key", b"value"),))
        made = deterministic_account_id(init)
        await probe.send(await probe.signed(bob, made, DeterministicStateInit(init, Yocto(0))))
    async with opened() as (probe, _):
        assert await probe.view(BOB, "say", {}) == "global"
        assert await probe.view(made, "say", {}) == "global"
        account = await probe.query("view_account", account_id=BOB)
        assert (account["global_contract_account_id"], set(account["code_hash"])) == (ALICE, {"1"})
        assert (await probe.query("view_account", account_id=made))["global_contract_hash"] == code_hash
        by_hash = await probe.query("view_global_contract_code", code_hash=code_hash)
        by_account = await probe.query("view_global_contract_code_by_account_id", account_id=ALICE)
        own = await probe.query("view_code", account_id=BOB)
        for found in (by_hash, by_account, own):
            assert (base64.b64decode(found["code_base64"]), found["hash"]) == (code, code_hash)
        missing = await probe.error(
            "query",
            {"request_type": "view_global_contract_code", "finality": "final", "code_hash": CryptoHash.of(b"no")},
        )
        assert missing["cause"]["name"] == "NO_GLOBAL_CONTRACT_CODE"


async def test_a_chain_of_the_first_format_goes_on(opened: Open, data_dir: Path, alice: Wallet) -> None:
    with closing(sqlite3.connect(chain_path(data_dir))) as database:
        for statement in (
            "ALTER TABLE accounts DROP COLUMN global_contract",
            "ALTER TABLE access_keys DROP COLUMN nonces",
            "DROP TABLE published",
            "PRAGMA user_version = 1",
        ):
            database.execute(statement)
        database.commit()
    async with opened() as (probe, _):
        answer = await probe.send(await probe.signed(alice, ALICE, AddKey(GAS, GasKeyFullAccess(Yocto(0), 2))))
        assert answer["status"] == {"SuccessValue": ""}
        assert len((await probe.query("view_gas_key_nonces", account_id=ALICE, public_key=GAS))["nonces"]) == 2
