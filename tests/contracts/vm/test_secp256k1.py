"""secp256k1: transactions signed with such keys, and contracts that recover them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.calls import AddKey, FullAccess, Transfer
from contracts.errors import ChainError
from contracts.signing.signatures import secp256k1_public_key, unsafe_secp256k1_sign
from contracts.signing.transaction import Transaction, encode_transaction, signed_transaction, transaction_hash
from contracts.types import AccountId, PublicKey, Yocto
from contracts.vm.engine import Engine
from tests.contracts.vm.chain_double import BLOCK_HASH, NEAR, TestChain
from tests.contracts.vm.wat_contract import WatContract, drop

ALICE, BOB, APP = AccountId("alice.test"), AccountId("bob.test"), "app.test"
SECRET = bytes(range(1, 33))
KEY = secp256k1_public_key(SECRET)
DIGEST = bytes(range(32))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ENGINE = Engine()


@pytest.fixture
def chain() -> TestChain:
    chain = TestChain(ENGINE)
    chain.create(ALICE)
    chain.create(BOB)
    return chain


def test_such_a_key_signs_transactions(chain: TestChain) -> None:
    chain.send(ALICE, ALICE, AddKey(KEY, FullAccess()))
    transaction = Transaction(ALICE, KEY, chain.height * 10**6 - 1, BOB, BLOCK_HASH, (Transfer(Yocto(5)),))
    data = encode_transaction(transaction)
    signature = unsafe_secp256k1_sign(SECRET, transaction_hash(data).raw)
    before = chain.balance(BOB)
    chain.deliver(signed_transaction(transaction, data, signature))
    assert chain.balance(BOB) == before + 5
    forged = signature[:40] + bytes((signature[40] ^ 1,)) + signature[41:]
    with pytest.raises(ChainError) as refusal:
        chain.deliver(signed_transaction(transaction, data, forged))
    assert refusal.value.details == {"InvalidTxError": "InvalidSignature"}


def test_an_ml_dsa_key_is_added_by_its_hash_and_signs_nothing_here(chain: TestChain) -> None:
    key = PublicKey.from_bytes("ml-dsa-65", bytes(1952))
    usage = chain.account(ALICE).storage_usage
    chain.send(ALICE, ALICE, AddKey(key, FullAccess()))
    assert chain.account(ALICE).storage_usage == usage + 33 + 9 + 40
    transaction = Transaction(ALICE, key, chain.height * 10**6 - 1, BOB, BLOCK_HASH, (Transfer(Yocto(5)),))
    data = encode_transaction(transaction)
    with pytest.raises(ChainError, match="signature"):
        chain.deliver(signed_transaction(transaction, data, bytes(3309)))


def recovered(digest: bytes, signature: bytes, v: int, flag: int) -> bytes:
    """What a contract gets: the answer's byte, and the key where there is one."""
    contract = WatContract()
    recover = contract.host("ecrecover", *contract.put(digest), *contract.put(signature), v, flag, 1)
    contract.method(
        "main",
        f"(i64.store (i32.const 0) {recover})",
        f"(if (i64.eqz (i64.load (i32.const 0))) (then {contract.returns(b'none')}) (else "
        f"{contract.host('value_return', 2**64 - 1, 1)}))",
    )
    chain = TestChain(ENGINE)
    chain.create(ALICE)
    chain.create(APP, NEAR, contract.code())
    return chain.call(ALICE, APP, "main").value


@given(secret=st.integers(1, ORDER - 1), digest=st.binary(min_size=32, max_size=32))
def test_a_contract_recovers_the_key(secret: int, digest: bytes) -> None:
    raw = secret.to_bytes(32)
    signature = unsafe_secp256k1_sign(raw, digest)
    assert recovered(digest, signature[:64], signature[64], 1) == secp256k1_public_key(raw).raw


def test_the_flag_refuses_the_higher_s() -> None:
    signature = unsafe_secp256k1_sign(SECRET, DIGEST)
    high = signature[:32] + (ORDER - int.from_bytes(signature[32:64])).to_bytes(32)
    assert recovered(DIGEST, high, signature[64] ^ 1, 0) == KEY.raw
    assert recovered(DIGEST, high, signature[64] ^ 1, 1) == b"none"
    assert recovered(DIGEST, bytes(64), 0, 0) == b"none"
    assert recovered(DIGEST, b"\xff" * 64, 0, 0) == b"none"


@pytest.mark.parametrize(
    ("digest", "signature", "v", "flag", "text"),
    [
        (32, 63, 0, 0, "The length of the signature: 63, exceeds the limit of 64 bytes"),
        (31, 64, 0, 0, "The length of the hash: 31, exceeds the limit of 32 bytes"),
        (32, 64, 4, 0, "V recovery byte 0 through 3 are valid but was provided 4"),
        (32, 64, 0, 2, "Malleability flag needs to be 0 or 1, but is instead 2"),
    ],
)
def test_malformed_inputs_stop_the_contract(digest: int, signature: int, v: int, flag: int, text: str) -> None:
    contract = WatContract()
    recover = contract.host("ecrecover", *contract.put(bytes(digest)), *contract.put(bytes(signature)), v, flag, 1)
    contract.method("main", drop(recover))
    chain = TestChain(ENGINE)
    chain.create(ALICE)
    chain.create(APP, NEAR, contract.code())
    assert chain.call(ALICE, APP, "main").panic == f"ECDSA recover error: {text}"
