"""Where values come from: only what stands as a token of its own in the requester's words counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.planning.provenance import ValueKind, trace
from agent.records import Source
from contracts.knowledge.registry import Registry

REGISTRY = Registry.for_network("localnet")


def source(value: object, kind: ValueKind, *turns: str, caller: str = "alice.localnet") -> Source | None:
    """The source of one value; the last turn is the newest."""
    words = [(number, text) for number, text in reversed(list(enumerate(turns)))]
    sources, missing = trace("x", {"value": value}, {"value": kind}, words, caller=caller, registry=REGISTRY)  # type: ignore[dict-item]
    assert bool(missing) == ("value" not in sources)
    return sources.get("value")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("12.5", "send 12.5 USDC"),
        ("12.5", "send 12.50 USDC."),
        ("12.5", "012.5?"),
        ("5", "send 5, then stop"),
        ("5", "5NEAR"),
        ("5", "give (5) usdc"),
        ("5", "5usdc to him"),
        ("30", "with 30tgas"),
        ("1000000", "1000000"),
    ],
)
def test_numbers_that_were_said(amount: str, text: str) -> None:
    found = source(amount, "amount", text)
    assert found is not None
    assert found.span is not None
    assert float(text[slice(*found.span)]) == float(amount)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("12.5", "send 112.5 USDC"),
        ("12.5", "send 12.55"),
        ("5", "12.5"),
        ("12", "12.5"),
        ("1", "1,000"),
        ("1000", "1,000"),
        ("000", "1,000"),
        ("1", "1 000 NEAR"),
        ("1", "1'000"),
        ("2", "2k NEAR"),
        ("1", "1e5"),
        ("5", "5%"),
        ("5", "$5 of USDC"),
        ("5", "5 € of USDC"),
        ("5", "-5"),
        ("100", "to 100.testnet"),
        ("5", "bob5 and 5bob"),
        ("5", "5_000"),
        ("2026", "on 2026-11-20"),
        ("3", "3/4 of it"),
        ("1", "one NEAR"),
        ("5", "٥ NEAR"),
        ("5", "5\u200b00"),
        ("15", "1\u200b5"),
    ],
)
def test_numbers_that_were_not_said(amount: str, text: str) -> None:
    assert source(amount, "amount", text) is None


@pytest.mark.parametrize(
    ("kind", "value", "text", "said"),
    [
        ("index", "3", "approve proposal #3", True),
        ("index", "3", "approve proposal 3", True),
        ("index", "3", "approve #33", False),
        ("index", "3", "approve 3%", False),
        ("index", "3", "approve $3", False),
        ("percent", "0.5", "with 0.5% slippage", True),
        ("percent", "0.5", "slippage 0.50 percent", True),
        ("percent", "0.5", "slippage 0.5", True),
        ("percent", "0.5", "slippage 10.5%", False),
        ("percent", "0.5", "slippage #0.5", False),
    ],
)
def test_numbers_that_count_or_are_shares(kind: ValueKind, value: str, text: str, *, said: bool) -> None:
    assert (source(value, kind, text) is not None) == said


@pytest.mark.parametrize(
    ("account", "text", "said"),
    [
        ("bob.near", "to bob.near.", True),
        ("bob.near", "to BOB.Near!", True),
        ("bob.near", "(bob.near)", True),
        ("bob.near", "@bob.near", True),
        ("bob.near", "to x-bob.near", False),
        ("bob.near", "to x.bob.near", False),
        ("bob.near", "to bob.near.evil.near", False),
        ("bob.near", "to bob.near-1", False),
        ("bob.near", "to bob.nearly", False),
        ("bob.near", "to \u0430bob.near", False),
        ("bob.near", "to evil\u200bbob.near", False),
        ("bob.near", "to bob.near\u0301", False),
        ("bob.near", "to bob", False),
        ("k.near", "to \u212a.near", False),
    ],
)
def test_accounts(account: str, text: str, said: bool) -> None:  # noqa: FBT001 - a table's column
    assert (source(account, "account", text) is not None) is said


def test_the_caller_is_meant_by_words_or_by_code() -> None:
    for text in ("send it to me", "to MY account", "what do I have", "to @me"):
        found = source("@me", "account", text)
        assert found is not None
        assert found.kind == "words"
    assert source("@me", "account", "send it home") is None
    assert source("@me", "account", "to me.near") is None
    assert source("alice.localnet", "account", "send it home") == Source(kind="code")


def test_tokens_come_from_words_or_the_registry() -> None:
    assert source("USDC", "token", "5 usdc to bob") == Source(kind="words", turn=0, span=(2, 6))
    assert source("usdc.localnet", "token", "5 USDC") == Source(kind="registry", turn=0, span=(2, 6))
    assert source("wNEAR", "token", "5 wrapped ones") == Source(kind="registry")
    assert source("USDT", "token", "5 USDC to bob") is None
    assert source("evil.localnet", "token", "5 USDC to bob") is None
    assert source("usdc.localnet", "contract", "register me with USDC") is not None
    assert source("USDC", "token", "5 NEAR to bob") is None


def test_a_receiver_is_never_found_in_the_registry() -> None:
    assert source("usdc.localnet", "account", "send 5 USDC to bob.localnet") is None
    assert source("usdc.localnet", "account", "send 5 to bob.localnet") is None
    assert source("usdc.localnet", "contract", "register bob.localnet") is None
    assert source("usdc.localnet", "account", "send 5 NEAR to usdc.localnet") is not None


@pytest.mark.parametrize(
    ("action", "args", "text", "said"),
    [
        ("near_transfer", {"amount": "5"}, "send 5 USDC to bob.localnet", False),
        ("near_transfer", {"amount": "5"}, "send USDC 5 to bob.localnet", False),
        ("near_transfer", {"amount": "5"}, "send 5usdc to bob.localnet", False),
        ("near_transfer", {"amount": "5"}, "send 5 usdc.localnet to bob.localnet", False),
        ("near_transfer", {"amount": "5"}, "send 5 wNEAR to bob.localnet", False),
        ("near_transfer", {"amount": "5"}, "send 5 million NEAR to bob.localnet", False),
        ("near_transfer", {"amount": "5"}, "send 5 NEAR to bob.localnet", True),
        ("near_transfer", {"amount": "5"}, "send bob.localnet 5", True),
        ("near_transfer", {"amount": "5"}, "not 5 USDC but 5 NEAR.", True),
        ("ft_transfer", {"token": "USDC", "amount": "5"}, "send 5 NEAR worth of USDC", False),
        ("ft_transfer", {"token": "USDT", "amount": "5"}, "from my USDT: send 5 USDC", False),
        ("ft_transfer", {"token": "usdc.localnet", "amount": "5"}, "send 5 USDC", True),
        ("ft_transfer", {"token": "USDC", "amount": "5"}, "send 5 usdc.localnet", True),
        ("near_wrap", {"amount": "5"}, "wrap 5 NEAR", True),
        ("near_unwrap", {"amount": "5"}, "unwrap 5 wNEAR", True),
        ("near_unwrap", {"amount": "5"}, "unwrap 5 USDC", False),
        ("contract_call", {"gas": "30", "deposit": "2"}, "call it with 30 Tgas and 2 NEAR", True),
        ("contract_call", {"gas": "2"}, "call it with 30 Tgas and 2 NEAR", False),
        ("contract_call", {"deposit": "30"}, "call it with 30 Tgas and 2 NEAR", False),
    ],
)
def test_an_amount_of_one_thing_is_no_amount_of_another(
    action: str,
    args: dict[str, str],
    text: str,
    said: bool,  # noqa: FBT001 - a table's column
) -> None:
    kinds: dict[str, ValueKind] = {name: "token" if name == "token" else "amount" for name in args}
    _, missing = trace(action, {**args}, kinds, [(0, text)], caller="alice.localnet", registry=REGISTRY)
    assert bool(missing) != said


def test_a_switch_must_be_named() -> None:
    assert source({"force": True}, "text", "unregister me, call storage_unregister") is None
    assert source({"force": True}, "text", "call storage_unregister with force") is not None
    assert source({"registration_only": False}, "text", "registration only: no") is not None


def test_messages_and_methods() -> None:
    assert source("for the rent", "text", "send 5, memo: for  the\nrent") is not None
    assert source("for the rent", "text", "send 5, memo: For The Rent") is None
    assert source("rent", "text", "for parents") is None
    assert source("add_message", "name", "call add_message") is not None
    assert source("add_message", "name", "please add message hello") is not None
    assert source("drain", "name", "call add_message") is None
    assert source("", "text", "anything") == Source(kind="code")


def test_objects_are_walked() -> None:
    text = 'call add with bob.near, 7 and "hello world"'
    assert source({"to": "bob.near", "n": 7, "deep": [{"text": "hello world"}, True, None]}, "text", text) is not None
    assert source({"to": "eve.near"}, "text", text) is None
    assert source({"n": "77"}, "text", text) is None
    assert source({"n": 8}, "text", text) is None


def test_newer_turns_come_first() -> None:
    found = source("bob.near", "account", "bob.near", "carol.near", "again bob.near")
    assert found == Source(kind="words", turn=2, span=(6, 14))


@given(st.decimals(min_value=0, max_value=10**12, places=6, allow_nan=False), st.integers(0, 10**12))
def test_a_number_is_found_in_its_own_sentence_and_nowhere_inside_another(amount: object, other: int) -> None:
    text = format(amount, "f")  # type: ignore[arg-type]
    assert source(text, "amount", f"please send {text} NEAR to bob.near") is not None
    if other:
        assert source(text, "amount", f"please send {other}{text}9 NEAR") is None


@given(st.text(), st.text())
def test_any_words_can_be_searched(value: str, text: str) -> None:
    source(value, "text", text)
    source(value, "account", text)
    source(value, "token", text)
    source(value, "amount", text)
