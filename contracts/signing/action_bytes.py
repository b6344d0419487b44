"""Borsh of actions and of what they hold. Indices are nearcore's; 14 and 15 are refused by name, never guessed.

Sources: nearcore `core/primitives/src/action`, NEP-366 (delegate), NEP-591 (global contracts), NEP-611 (gas keys),
NEP-616 (deterministic accounts); held by byte vectors that independent implementations agree on.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeAlias, assert_never

from Crypto.Hash import keccak

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
    GlobalContract,
    Permission,
    PlainAction,
    Stake,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    WithdrawFromGasKey,
)
from contracts.errors import InvalidInput, UnsupportedAction
from contracts.signing.borsh import Reader, octets, public_key, signature_of, string, u16, u32, u64, u128
from contracts.types import AccountId, CryptoHash, Gas, Yocto

ClassicAction: TypeAlias = (
    CreateAccount | DeployContract | FunctionCall | Transfer | Stake | AddKey | DeleteKey | DeleteAccount
)
"""The eight that every version of the protocol knows."""
_DELEGATE: Final = 8
_NEWER: Final = {
    14: "DelegateV2, which protocol 87 takes out again; use a Delegate action",
    15: "UniversalStateInit of protocol 87",
}
"""Actions that are known by name and not by layout."""


def encode_actions(actions: Sequence[Action]) -> bytes:
    """Borsh of a list of actions, its count first. InvalidInput `out_of_range` where a number does not fit its field."""
    return b"".join((u32(len(actions)), *map(encode_action, actions)))


def encode_action(action: Action) -> bytes:
    match action:
        case Delegate(delegate_action, signature):
            data = b"\x08" + encode_delegate(delegate_action) + signature_of(delegate_action.public_key, signature)
        case DeployGlobalContract(code, deploy_mode):
            data = b"".join((b"\x09", u32(len(code)), code, b"\0" if deploy_mode == "code_hash" else b"\1"))
        case UseGlobalContract(contract):
            data = b"\x0a" + _global_contract(contract)
        case DeterministicStateInit(state_init, deposit):
            data = b"\x0b" + encode_state_init(state_init) + u128(deposit, "deposit")
        case TransferToGasKey(key, deposit):
            data = b"\x0c" + public_key(key) + u128(deposit, "deposit")
        case WithdrawFromGasKey(key, amount):
            data = b"\x0d" + public_key(key) + u128(amount, "amount")
        case _:
            data = _classic(action)
    return data


def _classic(action: ClassicAction) -> bytes:
    match action:
        case CreateAccount():
            data = b"\0"
        case DeployContract(code):
            data = b"".join((b"\1", u32(len(code)), code))
        case FunctionCall(method_name, args, gas, deposit):
            data = b"\2" + string(method_name) + octets(args) + u64(gas, "gas") + u128(deposit, "deposit")
        case Transfer(deposit):
            data = b"\3" + u128(deposit, "deposit")
        case Stake(stake, key):
            data = b"\4" + u128(stake, "stake") + public_key(key)
        case AddKey(key, permission, nonce):
            data = b"\5" + public_key(key) + u64(nonce, "nonce") + encode_permission(permission)
        case DeleteKey(key):
            data = b"\6" + public_key(key)
        case DeleteAccount(beneficiary_id):
            data = b"\7" + string(beneficiary_id)
        case _:
            assert_never(action)
    return data


def encode_permission(permission: Permission) -> bytes:
    match permission:
        case FunctionCallAccess(receiver_id, method_names, allowance):
            return b"\0" + _function_call_access(receiver_id, method_names, allowance)
        case FullAccess():
            return b"\1"
        case GasKeyFunctionCallAccess(balance, num_nonces, receiver_id, method_names, allowance):
            purse = u128(balance, "balance") + u16(num_nonces, "num_nonces")
            return b"\2" + purse + _function_call_access(receiver_id, method_names, allowance)
        case GasKeyFullAccess(balance, num_nonces):
            return b"\3" + u128(balance, "balance") + u16(num_nonces, "num_nonces")
        case _:
            assert_never(permission)


def _function_call_access(receiver_id: AccountId, method_names: Sequence[str], allowance: int | None) -> bytes:
    paid = b"\0" if allowance is None else b"\1" + u128(allowance, "allowance")
    return b"".join((paid, string(receiver_id), u32(len(method_names)), *map(string, method_names)))


def _global_contract(contract: GlobalContract) -> bytes:
    match contract:
        case GlobalCodeHash(code_hash):
            return b"\0" + code_hash.raw
        case GlobalAccountId(account_id):
            return b"\1" + string(account_id)
        case _:
            assert_never(contract)


def encode_state_init(state_init: StateInit) -> bytes:
    """Borsh of a state init. InvalidInput `unsorted_data` where the keys are not sorted, or one comes twice."""
    keys = [key for key, _ in state_init.data]
    if any(one >= other for one, other in pairwise(keys)):
        raise InvalidInput("unsorted_data", "the records of a state init are sorted by key, each key once")
    records = [octets(key) + octets(value) for key, value in state_init.data]
    return b"".join((b"\0", _global_contract(state_init.code), u32(len(records)), *records))


def deterministic_account_id(state_init: StateInit) -> AccountId:
    """NEP-616: `0s` and the last 20 bytes of the Keccak-256 of the Borsh bytes."""
    digest = keccak.new(digest_bits=256, data=encode_state_init(state_init)).digest()
    return AccountId(f"0s{digest[12:].hex()}")


def encode_delegate(action: DelegateAction) -> bytes:
    """Borsh of a delegate action, unsigned and without the NEP's prefix."""
    return b"".join(
        (
            string(action.sender_id),
            string(action.receiver_id),
            encode_actions(action.actions),
            u64(action.nonce, "nonce"),
            u64(action.max_block_height, "max_block_height"),
            public_key(action.public_key),
        )
    )


def read_actions(reader: Reader) -> tuple[Action, ...]:
    return tuple(_read_action(reader) for _ in range(reader.count()))


def read_delegate(reader: Reader) -> DelegateAction:
    """A delegate action; InvalidInput where another one stands inside it."""
    sender_id, receiver_id = reader.account_id(), reader.account_id()
    actions = tuple(_read_plain(reader, reader.u8()) for _ in range(reader.count()))
    nonce, max_block_height = reader.integer(8), reader.integer(8)
    return DelegateAction(sender_id, receiver_id, actions, nonce, max_block_height, reader.public_key())


def _read_action(reader: Reader) -> Action:
    index = reader.u8()
    if index == _DELEGATE:
        delegate_action = read_delegate(reader)
        return Delegate(delegate_action, reader.signature_of(delegate_action.public_key))
    return _read_plain(reader, index)


def _read_plain(reader: Reader, index: int) -> PlainAction:
    match index:
        case 8:
            raise InvalidInput("bad_transaction", "a delegate action stands inside a delegate action")
        case 9:
            return DeployGlobalContract(reader.octets(), "account_id" if reader.flag() else "code_hash")
        case 10:
            return UseGlobalContract(_read_global_contract(reader))
        case 11:
            return DeterministicStateInit(_read_state_init(reader), Yocto(reader.integer(16)))
        case 12:
            return TransferToGasKey(reader.public_key(), Yocto(reader.integer(16)))
        case 13:
            return WithdrawFromGasKey(reader.public_key(), Yocto(reader.integer(16)))
        case _:
            return _read_classic(reader, index)


def _read_classic(reader: Reader, index: int) -> ClassicAction:
    found: ClassicAction
    match index:
        case 0:
            found = CreateAccount()
        case 1:
            found = DeployContract(reader.octets())
        case 2:
            name, args = reader.string(), reader.octets()
            found = FunctionCall(name, args, Gas(reader.integer(8)), Yocto(reader.integer(16)))
        case 3:
            found = Transfer(Yocto(reader.integer(16)))
        case 4:
            found = Stake(Yocto(reader.integer(16)), reader.public_key())
        case 5:
            key, nonce = reader.public_key(), reader.integer(8)
            found = AddKey(key, _read_permission(reader), nonce)
        case 6:
            found = DeleteKey(reader.public_key())
        case 7:
            found = DeleteAccount(reader.account_id())
        case _:
            name = _NEWER.get(index, "unknown")
            raise UnsupportedAction(
                "unsupported_action",
                f"action {index} is not supported ({name}); known are 0 to 13",
                details={"index": index},
            )
    return found


def _read_permission(reader: Reader) -> Permission:
    match reader.u8():
        case 0:
            return FunctionCallAccess(*_read_function_call_access(reader))
        case 1:
            return FullAccess()
        case 2:
            balance, num_nonces = Yocto(reader.integer(16)), reader.integer(2)
            return GasKeyFunctionCallAccess(balance, num_nonces, *_read_function_call_access(reader))
        case 3:
            return GasKeyFullAccess(Yocto(reader.integer(16)), reader.integer(2))
        case index:
            raise UnsupportedAction("unsupported_action", f"access key permission {index} is not supported")


def _read_function_call_access(reader: Reader) -> tuple[AccountId, tuple[str, ...], Yocto | None]:
    allowance = Yocto(reader.integer(16)) if reader.flag() else None
    receiver_id = reader.account_id()
    return receiver_id, tuple(reader.string() for _ in range(reader.count())), allowance


def _read_global_contract(reader: Reader) -> GlobalContract:
    if reader.flag():
        return GlobalAccountId(reader.account_id())
    return GlobalCodeHash(CryptoHash.from_bytes(reader.take(32)))


def _read_state_init(reader: Reader) -> StateInit:
    version = reader.u8()
    if version != 0:
        raise UnsupportedAction("unsupported_action", f"state init of version {version + 1} is not supported")
    code = _read_global_contract(reader)
    data = tuple((reader.octets(), reader.octets()) for _ in range(reader.count()))
    if any(one >= other for (one, _), (other, _) in pairwise(data)):
        raise InvalidInput("bad_transaction", "the records of a state init are not sorted by key, or one comes twice")
    return StateInit(code, data)
