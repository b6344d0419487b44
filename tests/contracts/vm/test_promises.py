"""Promises: receipts that contracts make, their order, their results, and what happens to money when they fail."""

from contracts.calls import (
    AddKey,
    CreateAccount,
    DeleteKey,
    FullAccess,
    FunctionCall,
    FunctionCallAccess,
    Transfer,
)
from contracts.types import AccountId, CryptoHash, Gas, Yocto
from contracts.vm.engine import Engine
from contracts.vm.receipts import ActionReceipt, DataReceipt, SuccessReceiptId, SuccessValue
from tests.contracts.vm.chain_double import NEAR, TGAS, Outcome, TestChain, public_key
from tests.contracts.vm.wat_contract import U64_MAX, WatContract, drop

ENGINE = Engine()
GAS = 10 * TGAS


def promise_call(
    contract: WatContract, receiver: str, method: str, args: bytes = b"", *, amount: int = 0, gas: int = GAS
) -> str:
    return contract.host(
        "promise_create",
        *contract.put(receiver),
        *contract.put(method),
        *contract.put(args),
        contract.amount(amount),
        gas,
    )


def then_call(contract: WatContract, after: str, receiver: str, method: str, *, amount: int = 0, gas: int = GAS) -> str:
    return contract.host(
        "promise_then",
        after,
        *contract.put(receiver),
        *contract.put(method),
        0,
        0,
        contract.amount(amount),
        gas,
    )


def callee() -> bytes:
    contract = WatContract()
    contract.method("echo", contract.host("input", 0), contract.host("value_return", U64_MAX, 0))
    contract.method("fail", contract.panics("no"))
    contract.method("deep", contract.host("promise_return", promise_call(contract, "callee.test", "echo", b"deep")))
    return contract.code()


def callback_methods(contract: WatContract) -> None:
    """`joined` returns, for each of its results, the status digit and the data."""
    contract.method(
        "joined",
        f"(local.set $a {contract.host('promise_results_count')})",
        "(i64.store (i32.const 0) (local.get $a))",
        f"(i64.store (i32.const 8) {contract.host('promise_result', 0, 0)})",
        contract.host("value_return", 16, 0),
    )
    contract.method(
        "first_data",
        drop(contract.host("promise_result", 0, 0)),
        contract.host("value_return", U64_MAX, 0),
    )


def chain_with(contract: WatContract, amount: int = 50 * NEAR) -> TestChain:
    chain = TestChain(ENGINE)
    chain.create("alice.test")
    chain.create("c.test", amount, contract.code())
    chain.create("callee.test", 5 * NEAR, callee())
    return chain


def run(contract: WatContract, *, deposit: int = 0) -> tuple[TestChain, Outcome]:
    chain = chain_with(contract)
    outcome = chain.call("alice.test", "c.test", "run", b"", deposit=deposit, gas=300 * TGAS)
    assert chain.supply + chain.burnt == chain.created
    left = chain.state.changes()
    assert set(left.postponed.values()) <= {None}
    assert set(left.received.values()) <= {None}
    assert set(left.waiting.values()) <= {None}
    return chain, outcome


def test_a_returned_promise_is_the_result() -> None:
    contract = WatContract()
    contract.method("run", contract.host("promise_return", promise_call(contract, "callee.test", "echo", b"hi")))
    _, outcome = run(contract)
    assert outcome.value == b"hi"
    assert isinstance(outcome.receipts[0].status, SuccessReceiptId)
    assert outcome.receipts[0].status.receipt_id in outcome.receipts[0].receipt_ids


def test_a_promise_that_is_not_returned_fails_on_its_own() -> None:
    contract = WatContract()
    contract.method("run", drop(promise_call(contract, "callee.test", "fail", amount=NEAR)), contract.returns("mine"))
    chain, outcome = run(contract)
    assert outcome.value == b"mine"
    failed = [execution for execution in outcome.receipts if not isinstance(execution.status, SuccessValue)]
    assert [execution.executor_id for execution in failed] == ["callee.test"]
    rewards = NEAR // 100
    assert 50 * NEAR <= chain.balance("c.test") <= 50 * NEAR + rewards  # the deposit came back


def test_a_callback_sees_the_result_of_what_it_waited_for() -> None:
    contract = WatContract()
    first = promise_call(contract, "callee.test", "echo", b"data")
    contract.method("run", contract.host("promise_return", then_call(contract, first, "c.test", "first_data")))
    callback_methods(contract)
    _, outcome = run(contract)
    assert outcome.value == b"data"
    assert [execution.executor_id for execution in outcome.receipts if execution.tokens_burnt] == [
        "c.test",
        "callee.test",
        "c.test",
    ]


def test_a_callback_of_a_handed_on_result_waits_for_the_last_one() -> None:
    contract = WatContract()
    first = promise_call(contract, "callee.test", "deep", gas=30 * TGAS)
    contract.method("run", contract.host("promise_return", then_call(contract, first, "c.test", "first_data")))
    callback_methods(contract)
    _, outcome = run(contract)
    assert outcome.value == b"deep"


def test_a_callback_learns_that_it_failed_and_goes_on() -> None:
    for method, receiver in (("fail", "callee.test"), ("echo", "nobody.test"), ("missing", "callee.test")):
        contract = WatContract()
        first = promise_call(contract, receiver, method, amount=NEAR)
        contract.method("run", contract.host("promise_return", then_call(contract, first, "c.test", "joined")))
        callback_methods(contract)
        _, outcome = run(contract)
        count, status = (int.from_bytes(outcome.value[at : at + 8], "little") for at in (0, 8))
        assert (count, status) == (1, 2), receiver


def test_a_joint_promise_waits_for_all_of_them() -> None:
    contract = WatContract()
    contract.method(
        "run",
        f"(i64.store (i32.const 0) {promise_call(contract, 'callee.test', 'echo', b'a')})",
        f"(i64.store (i32.const 8) {promise_call(contract, 'callee.test', 'deep', gas=30 * TGAS)})",
        f"(i64.store (i32.const 16) {promise_call(contract, 'callee.test', 'fail')})",
        contract.host("promise_return", then_call(contract, contract.host("promise_and", 0, 3), "c.test", "joined")),
    )
    callback_methods(contract)
    _, outcome = run(contract)
    count, status = (int.from_bytes(outcome.value[at : at + 8], "little") for at in (0, 8))
    assert (count, status) == (3, 1)


def test_misused_promises_are_refused() -> None:
    def joint(contract: WatContract) -> str:
        store = f"(i64.store (i32.const 0) {promise_call(contract, 'callee.test', 'echo')})"
        return f"{store} (local.set $a {contract.host('promise_and', 0, 1)})"

    cases: list[tuple[str, list[str | int], str]] = [
        ("promise_return", ["(local.get $a)"], "Returning joint promise is currently prohibited."),
        (
            "promise_batch_action_create_account",
            ["(local.get $a)"],
            "Actions can only be appended to non-joint promise.",
        ),
        ("promise_return", [9], "9 does not correspond to existing promises"),
        ("promise_result", [0, 0], "Accessed invalid promise result index: 0"),
    ]
    for name, arguments, text in cases:
        contract = WatContract()
        expression = contract.host(name, *arguments)
        contract.method("run", joint(contract), drop(expression) if name == "promise_result" else expression)
        _, outcome = run(contract)
        assert outcome.panic == text


def test_names_keys_and_ids_of_promises_are_checked() -> None:
    def batch(contract: WatContract) -> str:
        return contract.host("promise_batch_create", *contract.put("callee.test"))

    def key_case(contract: WatContract) -> str:
        return contract.host("promise_batch_action_delete_key", batch(contract), *contract.put(b"\0" + bytes(31)))

    def name_case(contract: WatContract) -> str:
        amount = contract.amount(0)
        return contract.host("promise_batch_action_function_call", batch(contract), 0, 0, 0, 0, amount, 1)

    def utf8_case(contract: WatContract) -> str:
        amount = contract.amount(0)
        name = contract.put(b"\xff")
        return contract.host("promise_batch_action_function_call", batch(contract), *name, 0, 0, amount, 1)

    def account_case(contract: WatContract) -> str:
        return drop(contract.host("promise_batch_create", *contract.put("Not An Account")))

    def account_utf8_case(contract: WatContract) -> str:
        return drop(contract.host("promise_batch_create", *contract.put(b"\xff\xff")))

    def balance_case(contract: WatContract) -> str:
        return contract.host("promise_batch_action_transfer", batch(contract), contract.amount(10**30))

    def method_names_case(contract: WatContract) -> str:
        return contract.host(
            "promise_batch_action_add_key_with_function_call",
            batch(contract),
            *contract.put(b"\0" + bytes(32)),
            0,
            contract.amount(0),
            *contract.put("callee.test"),
            *contract.put("a,,b"),
        )

    for case, text in (
        (key_case, "VM Logic provided an invalid public key"),
        (name_case, "Tried to call an empty method name."),
        (utf8_case, "VM Logic returned an invalid method name"),
        (account_case, "VM Logic returned an invalid account id"),
        (account_utf8_case, "String encoding is bad UTF-8 sequence."),
        (balance_case, "Exceeded the account balance."),
        (method_names_case, "Tried to call an empty method name."),
    ):
        contract = WatContract()
        contract.method("run", case(contract))
        _, outcome = run(contract)
        assert outcome.panic == text


def test_a_contract_makes_an_account_with_money_keys_and_code() -> None:
    contract = WatContract()
    key = contract.put(b"\0" + public_key("new.c.test").raw)
    other = contract.put(b"\1" + bytes(range(64)))
    gone = contract.put(b"\0" + bytes(32))
    code = callee()
    contract.method(
        "run",
        f"(local.set $a {contract.host('promise_batch_create', *contract.put('new.c.test'))})",
        contract.host("promise_batch_action_create_account", "(local.get $a)"),
        contract.host("promise_batch_action_transfer", "(local.get $a)", contract.amount(3 * NEAR)),
        contract.host("promise_batch_action_add_key_with_full_access", "(local.get $a)", *key, 5),
        contract.host("promise_batch_action_add_key_with_full_access", "(local.get $a)", *gone, 5),
        contract.host("promise_batch_action_delete_key", "(local.get $a)", *gone),
        contract.host(
            "promise_batch_action_add_key_with_function_call",
            "(local.get $a)",
            *other,
            0,
            contract.amount(NEAR),
            *contract.put("c.test"),
            *contract.put("run,walk"),
        ),
        contract.host("promise_batch_action_deploy_contract", "(local.get $a)", *contract.put(code)),
        contract.host("promise_batch_action_stake", "(local.get $a)", contract.amount(NEAR), *key),
        contract.host("promise_return", "(local.get $a)"),
    )
    chain, outcome = run(contract)
    assert outcome.value == b""
    account = chain.account("new.c.test")
    assert (account.amount, account.locked) == (2 * NEAR, NEAR)
    assert account.code_hash == CryptoHash.of(code)
    keys = dict(chain.state.access_keys("new.c.test"))
    assert len(keys) == 2
    full = keys[public_key("new.c.test")]
    assert full.permission == FullAccess()
    assert full.nonce == (102 - 1) * 10**6
    limited = next(value for name, value in keys.items() if name.startswith("secp256k1:"))
    assert limited.permission == FunctionCallAccess(AccountId("c.test"), ("run", "walk"), Yocto(NEAR))


def test_a_contract_can_end_an_account_of_its_own() -> None:
    contract = WatContract()
    contract.method(
        "run",
        f"(local.set $a {contract.host('promise_batch_create', *contract.put('c.test'))})",
        contract.host("promise_batch_action_delete_account", "(local.get $a)", *contract.put("alice.test")),
    )
    chain, _ = run(contract)
    assert chain.state.account("c.test") is None
    assert chain.balance("alice.test") > 149 * NEAR


def test_receipts_that_are_not_valid_fail_the_call_that_made_them() -> None:
    contract = WatContract()
    batch = contract.host("promise_batch_create", *contract.put("callee.test"))
    zero = contract.amount(0)
    contract.method(
        "no_gas", contract.host("promise_batch_action_function_call", batch, *contract.put("echo"), 0, 0, zero, 0)
    )
    many = [contract.host("promise_batch_action_create_account", "(local.get $a)")] * 101
    contract.method("many", f"(local.set $a {batch})", *many)
    chain = chain_with(contract)
    outcome = chain.call("alice.test", "c.test", "no_gas", b"", deposit=NEAR)
    assert outcome.failure == {
        "NewReceiptValidationError": {"ActionsValidation": "FunctionCallZeroAttachedGas"},
    }
    outcome = chain.call("alice.test", "c.test", "many", b"", gas=999 * TGAS)
    assert outcome.failure == {
        "NewReceiptValidationError": {
            "ActionsValidation": {"TotalNumberOfActionsExceeded": {"total_number_of_actions": 101, "limit": 100}}
        }
    }
    assert chain.supply + chain.burnt == chain.created


def test_gas_left_over_is_shared_by_weight() -> None:
    contract = WatContract()
    used = "(i64.store (i32.const 0) {}) (i64.store (i32.const 8) {})"
    contract.method(
        "gas",
        used.format(contract.host("prepaid_gas"), "(i64.const 0)"),
        contract.host("log_utf8", 0, 0),
        contract.host("value_return", 8, 0),
    )
    zero = contract.amount(0)

    def weighted(weight: int) -> list[str]:
        return [
            f"(local.set $a {contract.host('promise_batch_create', *contract.put('c.test'))})",
            contract.host(
                "promise_batch_action_function_call_weight",
                "(local.get $a)",
                *contract.put("gas"),
                0,
                0,
                zero,
                2 * TGAS,
                weight,
            ),
        ]

    contract.method("run", *weighted(1), *weighted(3), *weighted(0))
    _, outcome = run(contract)
    values = [
        int.from_bytes(execution.status.value, "little")
        for execution in outcome.receipts[1:]
        if isinstance(execution.status, SuccessValue) and execution.status.value
    ]
    one, three, none = values
    assert none == 2 * TGAS
    assert three - 2 * TGAS == (one - 2 * TGAS) * 3 + (three - 2 * TGAS) % 3
    assert 270 * TGAS < one + three < 300 * TGAS


def test_gas_set_aside_for_promises_counts() -> None:
    contract = WatContract()
    contract.method("run", drop(promise_call(contract, "callee.test", "echo", gas=299 * TGAS)))
    _, outcome = run(contract)
    assert outcome.panic == "Exceeded the prepaid gas."


def test_data_may_arrive_before_its_receipt() -> None:
    contract = WatContract()
    callback_methods(contract)
    chain = chain_with(contract)
    data_id = CryptoHash.of(b"data id")
    c = AccountId("c.test")
    waiting = ActionReceipt(
        CryptoHash.of(b"receipt"),
        c,
        c,
        AccountId("alice.test"),
        public_key("alice.test"),
        Yocto(0),
        (FunctionCall("first_data", b"", Gas(GAS), Yocto(0)),),
        (data_id,),
    )
    data = DataReceipt(CryptoHash.of(b"d"), c, c, data_id, b"early")
    outcome = Outcome(chain.send("alice.test", "c.test", Transfer(Yocto(0))).transaction)
    chain.run([data], outcome)
    assert outcome.receipts == []
    chain.run([waiting], outcome)
    assert outcome.receipts[0].status == SuccessValue(b"early")
    assert chain.state.received("c.test", data_id) is None


def test_promise_actions_are_what_receipts_carry() -> None:
    """Ids of new receipts are those that the outcome names, in the order of creation."""
    contract = WatContract()
    contract.method(
        "run",
        f"(local.set $a {contract.host('promise_batch_create', *contract.put('x.c.test'))})",
        contract.host("promise_batch_action_create_account", "(local.get $a)"),
        drop(promise_call(contract, "callee.test", "echo", b"1", amount=5)),
    )
    chain = chain_with(contract)
    signed = chain.sign("alice.test", "c.test", FunctionCall("run", b"", Gas(300 * TGAS), Yocto(0)))
    _, receipt = chain.runtime.convert_transaction(chain.state, signed, chain.block)
    result = chain.runtime.apply_receipt(chain.state, receipt, chain.block)
    assert result.execution is not None
    made = [new for new in result.new_receipts if isinstance(new, ActionReceipt)]
    assert [new.receipt_id for new in made] == list(result.execution.receipt_ids)
    assert made[0].actions == (CreateAccount(),)
    assert made[1].actions == (FunctionCall("echo", b"1", Gas(GAS), Yocto(5)),)
    assert {new.predecessor_id for new in made} == {"c.test", "system"}
    assert {new.signer_id for new in made} == {"alice.test"}
    assert result.activated == receipt
    assert not any(isinstance(action, AddKey | DeleteKey) for new in made for action in new.actions)
