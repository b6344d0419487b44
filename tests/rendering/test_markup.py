"""Texts as Markdown: whatever is in them, renderers show the same words, and nothing but what the daemon marked."""

from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.markup import code, markdown, plain
from contracts.knowledge.registry import Network, Registry
from contracts.types import CryptoHash
from tests.rendering.drawing import HOSTILE, draw, renderers

_RENDERERS: Final = renderers()
_LINES: Final = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=12), max_size=4).map(" ".join)
_TEXTS: Final = st.lists(st.tuples(st.sampled_from(["", "  ", "  ⚠ Warning: "]), _LINES).map("".join), max_size=5)


def _holds(text: str) -> None:
    shown = markdown(text)
    intended = [line.removeprefix("  ") for line in plain(shown).split("\n") if line]
    for name, renderer in _RENDERERS.items():
        drawn = draw(renderer, shown)
        assert [*drawn.lines] == intended, (name, shown)
        assert drawn.foreign == (), (name, shown)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_shown_as_it_is_wherever_it_stands(hostile: str) -> None:
    for text in (
        hostile,
        f"Done: {hostile}.",
        f"  {hostile}",
        f"Heading {hostile}:\n  {hostile}\n  send {hostile} to {hostile}\nEnd “{hostile}” ({hostile}), {hostile}.",
        f"  ⚠ Warning: {hostile}",
        f"{hostile} {hostile}",
        f"a{hostile}b{hostile}",
    ):
        _holds(text)


@given(_TEXTS)
@example(["`a` ```b"])
def test_any_text_is_shown_as_it_is(lines: list[str]) -> None:
    _holds("\n".join(lines))


@given(st.sampled_from(HOSTILE) | st.text())
def test_a_code_span_shows_its_text(text: str) -> None:
    for renderer in _RENDERERS.values():
        (token,) = renderer.parseInline(f"x {code(text)} y")
        shown = [(inner.type, inner.content) for inner in token.children or ()]
        assert shown == [("text", "x "), ("code_inline", plain(code(text))), ("text", " y")]


def test_the_layout_is_paragraphs_items_and_a_bold_heading() -> None:
    text = "Card of bob.tg:\n  send 3 NEAR to bob.tg\n  ⚠ Warning: b_c is new\nTo approve, write:\nconfirm ABCD1234"
    assert markdown(text) == (
        "**Card of `bob.tg`:**\n\n- send `3 NEAR` to `bob.tg`\n- ⚠ **Warning:** `b_c` is new\n\n"
        "To approve, write:\n\n`confirm ABCD1234`"
    )
    assert plain(markdown(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 1 → 2.5 NEAR", "from `1 → 2.5 NEAR`"),
        ("at most 1 Tgas (about 0.1 NEAR at most); more", "at most `1 Tgas` (about `0.1 NEAR` at most); more"),
        ("1. first", "`1`. first"),
        ("2 of 3 checks", "2 of 3 checks"),
        ("(c) is (tm)", "(`c`) is (`tm`)"),
        ("/ft_transfer token=a memo=hello there", "`/ft_transfer token=a memo=hello there`"),
        ("/help ACTION explains one. It is short.", "`/help ACTION` explains one. It is short."),
        ("it needs amount; usage: /near_transfer to [memo].", "it needs amount; usage: `/near_transfer to [memo]`."),
        ('base_url = "http://127.0.0.1:1/v1"', '`base_url = "http://127.0.0.1:1/v1"`'),
        ("nft_token(token_id: string, memo?: string) view", "`nft_token(token_id: string, memo?: string)` view"),
        ("write near-agent approve --list now", "write `near-agent approve --list` now"),
        ("The chain says: “no *funds* left”.", "The chain says: “`no *funds* left`”."),
        ("until 2026-12-01 20:00:00 UTC.", "until `2026-12-01 20:00:00 UTC`."),
    ],
)
def test_words_that_belong_together_are_one_span(text: str, expected: str) -> None:
    assert markdown(text) == expected
    assert plain(expected) == text or text.startswith("1.")


def test_an_argument_that_an_item_explains_is_a_span_though_its_name_is_an_english_word() -> None:
    text = "  receiver_id: account id\n  amount: decimal amount\n  its author says: hello"
    assert markdown(text) == "- `receiver_id`: account id\n- `amount`: decimal amount\n- its author says: hello"
    assert plain(markdown(text)) == text
    assert markdown("amount: of a paragraph") == "amount: of a paragraph"


@pytest.mark.parametrize("network", ["mainnet", "testnet"])
def test_a_transaction_in_the_explorer_is_a_link_and_no_other_address_is(network: Network) -> None:
    link = Registry.for_network(network).explorer_tx(CryptoHash("9XnZ2Yqk6Sbnn5hmkqEq2e2yZ3hJq2yFf5b1r1sVnX3d"))
    assert markdown(f"See {link}.") == f"See <{link}>."
    assert plain(markdown(f"See {link}.")) == f"See {link}."
    assert markdown(f"See {link}/evil") == f"See `{link}/evil`"
