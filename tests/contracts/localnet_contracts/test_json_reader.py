"""The contracts' JSON reader against Python's own, and against input that wants to break it."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.types import U128_MAX
from contracts.vm.engine import Engine
from tests.contracts.localnet_contracts.world import ALICE, BOOK, COUNTER, USDC, World, as_input, wasm

_SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=10,
)


class RefusedInput(Exception):
    """What the contract panicked with."""


@pytest.fixture(scope="module")
def book(engine: Engine) -> Callable[[bytes], str]:
    """Signs the guest book with raw input; returns the stored text, or raises RefusedInput."""
    world = World(engine)
    world.add_account(BOOK, wasm("guestbook"))

    def add(raw: bytes) -> str:
        story = world.call(ALICE, BOOK, "add_message", raw, tgas=1000)
        if story.value is None:
            raise RefusedInput(story.panic)
        last = {"from_index": world.view(BOOK, "total_messages"), "limit": 1}
        assert isinstance(last["from_index"], int)
        messages = world.view(BOOK, "get_messages", last | {"from_index": last["from_index"] - 1})
        assert isinstance(messages, list)
        assert isinstance(messages[0], dict)
        return str(messages[0]["text"])

    return add


@_SLOW
@given(text=_TEXT, ascii_only=st.booleans(), more=st.dictionaries(_TEXT.filter(lambda key: key != "text"), _VALUES))
def test_any_text_survives(book: Callable[[bytes], str], text: str, ascii_only: bool, more: dict[str, object]) -> None:  # noqa: FBT001
    assert book(json.dumps({"text": text, **more}, ensure_ascii=ascii_only).encode()) == text
    assert book(json.dumps({**more, "text": text}, ensure_ascii=ascii_only, indent=1).encode()) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b' \n\t\r{ "text" : "a" } \n', "a"),
        (b'{"text":"\\ud83d\\ude80\\u00e9\\/\\b\\f\\"\\\\"}', '🚀é/\b\f"\\'),
        (b'{"te\\u0078t":"a"}', "a"),
        (b'{"a":[1,-0.5e+10,{"b":[]},true,false,null,"x"],"text":"a"}', "a"),
        (b'{"a":' + b"[" * 60 + b"]" * 60 + b',"text":"a"}', "a"),
    ],
)
def test_what_json_allows(book: Callable[[bytes], str], raw: bytes, text: str) -> None:
    assert book(raw) == text


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "EOF while parsing a value"),
        (b"null", "expected an object"),
        (b'["a"]', "expected an object"),
        (b"{}", "missing field `text`"),
        (b'{"text":null}', "expected a string"),
        (b'{"text":5}', "expected a string"),
        (b'{"text":"a","text":"b"}', "duplicate field `text`"),
        (b'{"text":"a"', "EOF"),
        (b'{"text":"a', "EOF while parsing a string"),
        (b'{"text":"a\\', "EOF"),
        (b'{"text":"a\\u12', "EOF"),
        (b'{"text":"a"}x', "trailing characters"),
        (b'{"text":"a"}{}', "trailing characters"),
        (b'{"text":"a",}', "key must be a string"),
        (b'{"text":"a" "b":1}', "expected `,` or `}`"),
        (b"{text:1}", "key must be a string"),
        (b"{'text':'a'}", "key must be a string"),
        (b'{"text":"a\nb"}', "control character"),
        (b'{"text":"\\x41"}', "invalid escape"),
        (b'{"text":"\\u12g4"}', "invalid escape"),
        (b'{"text":"\\ud83d"}', "hex escape"),
        (b'{"text":"\\ud83dx"}', "hex escape"),
        (b'{"text":"\\ud83d\\u0041"}', "lone leading surrogate"),
        (b'{"text":"\\ude80"}', "lone leading surrogate"),
        (b'{"text":"\xff"}', "invalid unicode"),
        (b'{"text":"\xc0\xaf"}', "invalid unicode"),
        (b'{"text":"\xe0\x80\x80"}', "invalid unicode"),
        (b'{"text":"\xed\xa0\x80"}', "invalid unicode"),
        (b'{"text":"\xf4\x90\x80\x80"}', "invalid unicode"),
        (b'{"text":"\xf0\x9f', "invalid unicode"),
        (b'{"a":01,"text":"a"}', "invalid number"),
        (b'{"a":1.,"text":"a"}', "invalid number"),
        (b'{"a":-,"text":"a"}', "invalid number"),
        (b'{"a":1e,"text":"a"}', "invalid number"),
        (b'{"a":NaN,"text":"a"}', "expected value"),
        (b'{"a":[1 2],"text":"a"}', "expected `,`"),
        (b'{"a":[1,],"text":"a"}', "expected value"),
        (b'{"a":' + b"[" * 100_000, "recursion limit exceeded"),
        (b'{"a":' + b'{"a":' * 100_000, "recursion limit exceeded"),
    ],
)
def test_what_json_forbids(book: Callable[[bytes], str], raw: bytes, message: str) -> None:
    with pytest.raises(RefusedInput) as caught:
        book(raw)
    assert "Failed to deserialize input from JSON.: Error(" in str(caught.value)
    assert message in str(caught.value)


def _almost(parts: tuple[bytes, bytes]) -> bytes:
    return b'{"text":"' + parts[0] + b'"' + parts[1]


@_SLOW
@given(st.binary(max_size=60) | st.tuples(st.binary(), st.binary()).map(_almost))
def test_bytes_are_refused_or_understood_as_python_does(book: Callable[[bytes], str], raw: bytes) -> None:
    try:
        text = book(raw)
    except RefusedInput as error:
        assert "Failed to deserialize input" in str(error)  # noqa: PT017
    else:
        assert json.loads(raw)["text"] == text


def test_a_skipped_field_of_a_million_texts_does_not_use_the_memory_up(book: Callable[[bytes], str]) -> None:
    raw = b'{"a":[' + b'"x",' * 1_000_000 + b'""],"text":"a"}'
    assert book(raw) == "a"


def test_the_position_of_an_error_is_told(world: World) -> None:
    story = world.call(ALICE, BOOK, "add_message", b'{\n  "text": "a",\n  ?}')
    assert re.search(r'key must be a string\\?", line: 3, column: 2\)', story.panic)


@_SLOW
@given(st.integers(min_value=0, max_value=U128_MAX))
@pytest.mark.parametrize("pad", ["", "000"])
def test_u128_is_read_and_written_exactly(world: World, pad: str, amount: int) -> None:
    args = {"sender_id": ALICE, "amount": "1", "msg": pad + str(amount)}
    assert world.call(USDC, COUNTER, "ft_on_transfer", args).json == str(amount)


@given(st.integers(min_value=U128_MAX + 1) | st.integers(max_value=-1))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_no_u128_is_refused(world: World, amount: int) -> None:
    args = {"sender_id": ALICE, "amount": str(amount), "msg": ""}
    assert "invalid digit found in string" in world.call(USDC, COUNTER, "ft_on_transfer", args).panic


def test_input_is_sent_as_it_is() -> None:
    assert as_input(b"\x00") == b"\x00"
    assert as_input(None) == b"{}"
