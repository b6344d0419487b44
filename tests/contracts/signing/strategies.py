"""Hypothesis strategies for transactions of every kind."""

from hypothesis import strategies as st

from contracts.calls import (
    Action,
    AddKey,
    CreateAccount,
    Delegate,
    DelegateAction,
    DeleteAccount,
    DeleteKey,
    DeployContract,
    DeployGlobalContract,
    DeterministicStateInit,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    GasKeyFullAccess,
    GasKeyFunctionCallAccess,
    GlobalAccountId,
    GlobalCodeHash,
    Permission,
    PlainAction,
    Stake,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
)
from contracts.signing.action_bytes import ClassicAction
from contracts.signing.transaction import Transaction
from contracts.types import U64_MAX, U128_MAX, AccountId, CryptoHash, Gas, PublicKey, Yocto

ACCOUNTS = st.sampled_from(["aa", "alice.near", "a-b_c.near", "0" * 64, "x" * 64]).map(AccountId)
KEYS = st.binary(min_size=32, max_size=32).map(lambda raw: PublicKey.from_bytes("ed25519", raw))
SECP_KEYS = st.binary(min_size=64, max_size=64).map(lambda raw: PublicKey.from_bytes("secp256k1", raw))
ANY_KEYS = KEYS | SECP_KEYS
U16 = st.integers(0, 2**16 - 1)
U64 = st.integers(0, U64_MAX)
U128 = st.integers(0, U128_MAX).map(Yocto)
HASHES = st.binary(min_size=32, max_size=32).map(CryptoHash.from_bytes)
METHODS = st.lists(st.text(max_size=8), max_size=3).map(tuple)
CLASSIC_PERMISSIONS: st.SearchStrategy[Permission] = st.just(FullAccess()) | st.builds(
    FunctionCallAccess, ACCOUNTS, METHODS, st.none() | U128
)
PERMISSIONS: st.SearchStrategy[Permission] = (
    CLASSIC_PERMISSIONS
    | st.builds(GasKeyFullAccess, U128, U16)
    | st.builds(GasKeyFunctionCallAccess, U128, U16, ACCOUNTS, METHODS, st.none() | U128)
)
GLOBALS = st.builds(GlobalCodeHash, HASHES) | st.builds(GlobalAccountId, ACCOUNTS)
STATE_INITS = st.builds(
    StateInit,
    GLOBALS,
    st.dictionaries(st.binary(max_size=8), st.binary(max_size=8), max_size=4).map(
        lambda data: tuple(sorted(data.items()))
    ),
)


def classic_actions(
    keys: st.SearchStrategy[PublicKey] = ANY_KEYS, permissions: st.SearchStrategy[Permission] = PERMISSIONS
) -> st.SearchStrategy[ClassicAction]:
    return st.one_of(
        st.just(CreateAccount()),
        st.builds(DeployContract, st.binary(max_size=64)),
        st.builds(FunctionCall, st.text(max_size=20), st.binary(max_size=64), U64.map(Gas), U128),
        st.builds(Transfer, U128),
        st.builds(Stake, U128, keys),
        st.builds(AddKey, keys, permissions, U64),
        st.builds(DeleteKey, keys),
        st.builds(DeleteAccount, ACCOUNTS),
    )


PUBLISHING = st.builds(DeployGlobalContract, st.binary(max_size=64), st.sampled_from(["code_hash", "account_id"]))
USING = st.builds(UseGlobalContract, GLOBALS)
PLAIN_ACTIONS: st.SearchStrategy[PlainAction] = st.one_of(
    classic_actions(),
    PUBLISHING,
    USING,
    st.builds(DeterministicStateInit, STATE_INITS, U128),
    st.builds(TransferToGasKey, ANY_KEYS, U128),
    st.builds(WithdrawFromGasKey, ANY_KEYS, U128),
)
DELEGATES = st.builds(
    Delegate,
    st.builds(DelegateAction, ACCOUNTS, ACCOUNTS, st.lists(PLAIN_ACTIONS, max_size=3).map(tuple), U64, U64, KEYS),
    st.binary(min_size=64, max_size=64),
)
ACTIONS: st.SearchStrategy[Action] = PLAIN_ACTIONS | DELEGATES
_MANY = st.lists(ACTIONS, max_size=4).map(tuple)
TRANSACTIONS = st.builds(Transaction, ACCOUNTS, ANY_KEYS, U64, ACCOUNTS, HASHES, _MANY) | st.builds(
    Transaction,
    ACCOUNTS,
    ANY_KEYS,
    U64,
    ACCOUNTS,
    HASHES,
    _MANY,
    st.just(1),
    st.sampled_from(["monotonic", "strict"]),
    st.none() | U16,
)
