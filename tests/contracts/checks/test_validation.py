"""Nothing that breaks the chain's own rules gets a ValidatedCall, and nothing else can make one."""

import dataclasses
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.calls import (
    AddKey,
    ChangeCall,
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
    PlainAction,
    Stake,
    StateInit,
    Transfer,
    TransferToGasKey,
    UseGlobalContract,
    ViewAccessKeys,
    ViewAccount,
    ViewCall,
    ViewFunction,
    ViewMethods,
    ViewTransaction,
    WithdrawFromGasKey,
)
from contracts.checks.validation import ValidatedCall, ValidationContext, validate
from contracts.errors import InvalidInput
from contracts.signing.action_bytes import deterministic_account_id
from contracts.signing.transaction import Transaction, encode_transaction
from contracts.types import U64_MAX, U128_MAX, AccountId, CryptoHash, Gas, PublicKey, Yocto
from tests.contracts.catalogue.world import ALICE, BOB, LIMITS, USDC, build, transfer_facts

CONTEXT = ValidationContext(LIMITS)
KEY = PublicKey("ed25519:2j6qujbkPFuTstQLLTxKZUw63D5Wu3SG79Gop5JQrNJY")
TGAS = 10**12


def call(method: str = "get_num", args: bytes = b"{}", gas: int = 30 * TGAS, deposit: int = 0) -> FunctionCall:
    return FunctionCall(method, args, Gas(gas), Yocto(deposit))


def transaction(*actions: Any) -> ChangeCall:
    return ChangeCall(BOB, tuple(actions))


def delegated(*actions: PlainAction, sender: AccountId = BOB) -> Delegate:
    return Delegate(DelegateAction(sender, USDC, actions, 1, 2, KEY), bytes(64))


PUBLISHED = GlobalAccountId(ALICE)
MADE = StateInit(PUBLISHED, ())


def refused(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


@pytest.mark.parametrize(
    "good",
    [
        transaction(Transfer(Yocto(0))),
        transaction(Transfer(Yocto(U128_MAX))),
        transaction(call()),
        transaction(call("m" * 256, b"\xff" * 1000, 1000 * TGAS)),
        transaction(
            CreateAccount(), AddKey(KEY, FullAccess()), DeployContract(b"x"), DeleteKey(KEY), Stake(Yocto(1), KEY)
        ),
        transaction(AddKey(KEY, FunctionCallAccess(USDC, ("ft_transfer",), None))),
        transaction(Transfer(Yocto(1)), DeleteAccount(ALICE)),
        transaction(*[Transfer(Yocto(1))] * 100),
        transaction(delegated(call("ft_transfer", deposit=1))),
        transaction(AddKey(KEY, GasKeyFullAccess(Yocto(0), 1024)), TransferToGasKey(KEY, Yocto(1))),
        transaction(AddKey(KEY, GasKeyFunctionCallAccess(Yocto(0), 1, USDC, ("ft_transfer",)))),
        transaction(WithdrawFromGasKey(KEY, Yocto(1)), UseGlobalContract(PUBLISHED)),
        transaction(DeployGlobalContract(b"x", "code_hash")),
        ChangeCall(deterministic_account_id(MADE), (DeterministicStateInit(MADE, Yocto(1)),)),
        ViewFunction(USDC, "ft_metadata", b"{}"),
        ViewAccount(ALICE),
        ViewAccessKeys(ALICE),
        ViewMethods(ALICE),
        ViewTransaction(CryptoHash.of(b""), ALICE),
    ],
)
def test_what_keeps_the_rules_is_validated(good: ViewCall | ChangeCall) -> None:
    assert validate(good, CONTEXT).call == good


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("no_actions", transaction()),
        ("too_many_actions", transaction(*[Transfer(Yocto(1))] * 101)),
        ("delete_not_last", transaction(DeleteAccount(ALICE), Transfer(Yocto(1)))),
        ("gas_out_of_range", transaction(call(gas=0))),
        ("gas_out_of_range", transaction(call(gas=-1))),
        ("gas_out_of_range", transaction(call(gas=U64_MAX + 1))),
        ("gas_out_of_range", transaction(call(gas=cast("int", 3e13)))),
        ("gas_out_of_range", transaction(call(gas=True))),
        ("too_much_gas", transaction(call(gas=1000 * TGAS + 1))),
        ("too_much_gas", transaction(call(gas=600 * TGAS), call(gas=600 * TGAS))),
        ("method_name_length", transaction(call(""))),
        ("method_name_length", transaction(call("m" * 257))),
        ("method_name_characters", transaction(call("get num"))),
        ("method_name_characters", transaction(call("get_num\u200b"))),
        ("method_name_characters", transaction(call("gеt_num"))),
        ("arguments_too_large", transaction(call(args=b"x" * 4_194_305))),
        ("transaction_too_large", transaction(call(args=b"x" * 1_572_864))),
        ("not_a_number", transaction(call(args=b'{"amount": NaN}'))),
        ("not_a_number", transaction(call(args=b"[-Infinity]"))),
        ("amount_out_of_range", transaction(Transfer(Yocto(-1)))),
        ("amount_out_of_range", transaction(Transfer(Yocto(U128_MAX + 1)))),
        ("amount_out_of_range", transaction(Transfer(cast("Yocto", 1.5)))),
        ("amount_out_of_range", transaction(Transfer(cast("Yocto", True)))),
        ("amount_out_of_range", transaction(call(deposit=-1))),
        ("amount_out_of_range", transaction(Transfer(Yocto(U128_MAX)), Transfer(Yocto(1)))),
        ("amount_out_of_range", transaction(Stake(Yocto(-1), KEY))),
        ("amount_out_of_range", transaction(AddKey(KEY, FunctionCallAccess(USDC, (), Yocto(-1))))),
        ("method_name_length", transaction(AddKey(KEY, FunctionCallAccess(USDC, ("",), None)))),
        ("contract_too_large", transaction(DeployContract(b"x" * 4_194_305))),
        ("contract_too_large", transaction(DeployGlobalContract(b"x" * 4_194_305, "account_id"))),
        ("delegate_receiver", transaction(delegated(sender=ALICE))),
        ("several_delegates", transaction(delegated(), delegated())),
        ("gas_out_of_range", transaction(delegated(call(gas=0)))),
        ("too_much_gas", transaction(delegated(call(gas=600 * TGAS)), call(gas=600 * TGAS))),
        ("state_init_receiver", transaction(DeterministicStateInit(MADE, Yocto(0)))),
        ("gas_key_nonces", transaction(AddKey(KEY, GasKeyFullAccess(Yocto(0), 0)))),
        ("gas_key_balance", transaction(AddKey(KEY, GasKeyFullAccess(Yocto(1), 1)))),
        ("gas_key_allowance", transaction(AddKey(KEY, GasKeyFunctionCallAccess(Yocto(0), 1, USDC, (), Yocto(1))))),
        ("amount_out_of_range", transaction(TransferToGasKey(KEY, Yocto(-1)))),
        ("account_malformed", ChangeCall(cast("AccountId", "Bob.near"), (Transfer(Yocto(1)),))),
        ("account_malformed", transaction(DeleteAccount(cast("AccountId", "x")))),
        ("account_malformed", ViewAccount(cast("AccountId", "@me"))),
        ("account_malformed", ViewTransaction(CryptoHash.of(b""), cast("AccountId", ""))),
        ("method_name_length", ViewFunction(USDC, "", b"")),
        ("arguments_too_large", ViewFunction(USDC, "m", b"x" * 4_194_305)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_breaks_a_rule_is_refused_with_its_name(code: str, bad: ViewCall | ChangeCall) -> None:
    with refused(code) as error:
        validate(bad, CONTEXT)
    assert len(error.value.message) < 400


def test_a_misspelt_method_is_refused_where_the_list_is_known() -> None:
    context = ValidationContext(LIMITS, {"bob.localnet": frozenset({"get_num", "increment"})})
    with refused("unknown_method") as error:
        validate(transaction(call("get_nun")), context)
    assert error.value.message == "bob.localnet has no method get_nun; did you mean get_num?"
    assert validate(transaction(call("get_num")), context)
    assert validate(ViewFunction(USDC, "anything", b""), context)


def test_limits_are_the_chains_own() -> None:
    older = ValidationContext(dataclasses.replace(LIMITS, max_total_prepaid_gas=Gas(300 * TGAS)))
    with refused("too_much_gas") as error:
        validate(transaction(call(gas=301 * TGAS)), older)
    assert "may carry 300" in error.value.message


def test_bytes_that_are_no_json_are_the_contracts_affair() -> None:
    assert validate(transaction(call(args=b"\x00NaN\xff")), CONTEXT)
    assert validate(transaction(call(args=b'{"text": "NaN, Infinity"}')), CONTEXT)


def test_only_validate_makes_a_validated_call() -> None:
    with pytest.raises(TypeError, match="validate"):
        ValidatedCall(transaction(Transfer(Yocto(1))), object())
    made = validate(transaction(Transfer(Yocto(1))), CONTEXT)
    with pytest.raises((TypeError, ValueError), match="seal"):
        dataclasses.replace(made, call=transaction())


def test_the_envelope_is_never_larger_than_assumed() -> None:
    longest = AccountId("a" * 64)
    biggest = PublicKey.from_bytes("secp256k1", b"\x01" * 64)
    actions = (Transfer(Yocto(1)),)
    data = encode_transaction(
        Transaction(longest, biggest, U64_MAX, longest, CryptoHash.of(b""), actions, 1, "strict", 65_535)
    )
    room = len(data) + 66
    exact = ValidationContext(dataclasses.replace(LIMITS, max_transaction_size=room))
    assert validate(ChangeCall(longest, actions), exact)
    with refused("transaction_too_large"):
        validate(
            ChangeCall(longest, actions), ValidationContext(dataclasses.replace(LIMITS, max_transaction_size=room - 1))
        )


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_the_catalogue_builds_is_valid(memo: str) -> None:
    raw = {"token": "USDC", "receiver_id": "carol.localnet", "amount": "1", "memo": memo}
    for built in build("ft_transfer", raw, transfer_facts()).calls:
        assert validate(built, CONTEXT).call == built


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), st.binary(max_size=300))
def test_any_method_name_is_validated_or_refused(method: str, args: bytes) -> None:
    try:
        made = validate(ViewFunction(USDC, method, args), CONTEXT)
    except InvalidInput as error:
        code = error.code
    else:
        code = ""
        assert made.call == ViewFunction(USDC, method, args)
    assert code in {"", "method_name_length", "method_name_characters", "not_a_number"}
