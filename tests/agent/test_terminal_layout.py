"""Answers at a terminal's width: no word is broken, nothing of a text steers the terminal, and what can be completed."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.completing import Argument, Completion, Names, completions
from agent.commands.exits import CommandError
from agent.commands.layout import cells, wrap
from agent.commands.screen import Screen
from agent.commands.streamed import Answered, Doing, read_stream
from agent.commands.terminal_chat import code_of_card
from agent.markup import markdown, plain, shown_lines

_WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Zs", "Cc")), min_size=1), min_size=1)
AMOUNT = "9984.078573227299859499999995"
IMPLICIT = "98793cd91a3f870fb126f66285808c7e094afcfc4eda8a970f6648cdf0dbd6de"
NAMES = Names(
    {
        "near_transfer": (Argument("receiver_id", "account_id"), Argument("amount", "amount")),
        "ft_transfer": (
            Argument("token", "token"),
            Argument("receiver_id", "account_id"),
            Argument("amount", "amount"),
        ),
        "vote": (Argument("dao_id", "account_id"), Argument("vote", "string", ("approve", "reject"))),
    },
    ("alice.localnet", "bob.localnet"),
    ("NEAR", "USDC", "USDT"),
    {"bob": "bob.localnet", "Ann O'Hara": "carol.localnet"},
)


def _wrapped(text: str, width: int) -> list[str]:
    return [
        "".join(run.text for run in line)
        for indent, runs in shown_lines(markdown(text))
        for line in wrap(indent, runs, width)
    ]


@given(_WORDS, st.integers(10, 60))
def test_only_words_that_are_wider_than_the_terminal_go_over_its_edge(words: list[str], width: int) -> None:
    text = " ".join(words)
    lines = _wrapped(text, width)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", plain(markdown(text)))
    assert all(cells(line) <= width or " " not in line.strip() for line in lines)


@pytest.mark.parametrize("width", range(8, 90))
def test_amounts_ids_and_codes_are_never_broken(width: int) -> None:
    card = f"Approval needed:\n  send {AMOUNT} NEAR from alice.localnet to {IMPLICIT}\n  To approve, write: confirm 7K3M9QRT"
    words = {word for line in _wrapped(card, width) for word in line.split()}
    assert {AMOUNT, IMPLICIT, "7K3M9QRT", "alice.localnet"} <= words
    if width >= 24:
        assert any("confirm 7K3M9QRT" in line for line in _wrapped(card, width))


def test_wide_signs_count_twice_and_text_without_blanks_is_broken_between_them() -> None:
    lines = _wrapped("转账给鲍勃十个代币请确认之后再发送谢谢", 12)
    assert len(lines) > 2
    assert max(map(cells, lines)) <= 12


@pytest.mark.parametrize("colours", [True, False])
def test_no_text_steers_the_terminal(colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    hostile = "\x1b[2J\x1b]0;title\x07\x9b31m \u202eevil\r gone\x08 [bold]tag[/bold] :smile: `\x1b[0m`"
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = io.StringIO()
    screen = Screen(colours=colours, monotonic=lambda: 0.0, file=shown)
    screen.answer(hostile, "executed")
    screen.note(hostile)
    screen.error(hostile)
    left = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", left)
    assert "[bold]tag[/bold] :smile:" in left
    assert ("\x1b[" in shown.getvalue()) is colours


def test_progress_is_cut_at_the_width_and_counts_the_seconds() -> None:
    now = [0.0]
    shown = io.StringIO()
    screen = Screen(colours=False, monotonic=lambda: now[0], file=shown)
    with screen.progress() as progress:
        progress.doing("Planning with x")
        progress.doing("Sent transaction \x1b[2J 8JkRGgrPDdBuSCzb9v2p7mXoZjJzTE5qKg3HBvepzkvE")
        assert [*progress.lines(40)] == []
        now[0] = 7.0
        first, second = progress.lines(40)
    assert first == "Planning with x"
    assert second.endswith("… (7 s)")
    assert "\x1b" not in second
    assert cells(second) <= 40


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("/near_t", ["/near_transfer "]),
        ("con", ["confirm "]),
        ("/canc", ["/cancel "]),
        ("/near_transfer b", ["bob ", "bob.localnet "]),
        ("/near_transfer rec", ["receiver_id="]),
        ("/near_transfer receiver_id=b", ["bob ", "bob.localnet "]),
        ("/near_transfer receiver_id=bob ", ["amount="]),
        ("/near_transfer bob ", ["amount="]),
        ("/ft_transfer us", ["USDC ", "USDT "]),
        ("/ft_transfer USDC @an", ["'@Ann O'\"'\"'Hara' "]),
        ("/ft_transfer USDC @m", ["@me "]),
        ("/vote bob re", ["reject "]),
        ("/help ft", ["ft_transfer "]),
        ("send 3 usd", ["USDC ", "USDT "]),
        ("send 3 NEAR to al", ["alice.localnet "]),
        ("hello ", []),
        ("", []),
        ("/unknown x", []),
        ('/near_transfer "b', []),
    ],
)
def test_completions(line: str, found: list[str]) -> None:
    assert [one.text for one in completions(line, NAMES)] == found


def test_a_name_of_the_address_book_says_whose_account_it_is() -> None:
    assert Completion("bob ", 1, "bob.localnet (address book)") in completions("/near_transfer b", NAMES)


def _lines(*lines: bytes) -> list[Doing | Answered]:
    left = [*lines, b""]
    return [*read_stream(lambda _limit: left.pop(0))]


def test_a_stream_is_read_into_progress_and_its_answer() -> None:
    events = _lines(
        b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n',
        b": Planning with x\n",
        b": ping\n",
        b'data: {"choices":[],"event":{"type":"status","data":{"description":"Sent","done":false}}}\n',
        b'data: {"choices":[{"delta":{"content":"a\\n"}}]}\n',
        b'data: {"choices":[{"delta":{"content":"b"}}]}\n',
        b'data: {"choices":[{"delta":{}}],"near_agent":{"status":"answered"}}\n',
        b"data: [DONE]\n",
    )
    message = {"role": "assistant", "content": "a\nb"}
    ended = Answered({"choices": [{"message": message}], "near_agent": {"status": "answered"}})
    assert events == [Doing("Planning with x"), Doing("Sent"), ended]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'data: {"error":{"code":"draining","message":"it ends"}}\n', "draining"),
        (b"data: no json\n", "bad_stream"),
        (b"data: []\n", "bad_stream"),
        (b"x" * 1_048_576, "bad_stream"),
        (b": only this\n", "broken_off"),
    ],
)
def test_a_stream_that_ends_in_any_other_way_is_an_error(line: bytes, code: str) -> None:
    with pytest.raises(CommandError) as caught:
        _lines(line)
    assert caught.value.code == code


def test_a_stream_without_an_end_is_cut() -> None:
    with pytest.raises(CommandError) as caught:
        list(read_stream(lambda _limit: b": ping\n" * 1000))
    assert caught.value.code == "bad_stream"


@pytest.mark.parametrize(
    ("status", "code", "content", "found"),
    [
        ("needs_approval", "7K3M9QRT", "To approve, write: `confirm 7K3M9QRT`", "7K3M9QRT"),
        ("needs_approval", "7K3M9QRT", "a card without its code", None),
        ("needs_approval", "7K3M9QRT", "`confirm 7K3M9QRT` or `confirm AAAAAAAA`", None),
        ("needs_approval", "7K3M9QRT", "`confirm AAAAAAAA`", None),
        ("needs_approval", "7k3m\n", "`confirm 7K3M9QRT`", None),
        ("needs_approval", None, "`confirm 7K3M9QRT`", None),
        ("answered", "7K3M9QRT", "`confirm 7K3M9QRT`", None),
    ],
)
def test_only_the_card_that_is_shown_can_be_sent(
    status: str, code: str | None, content: str, found: str | None
) -> None:
    answer = {"choices": [{"message": {"content": content}}], "near_agent": {"status": status, "confirm_code": code}}
    assert code_of_card(answer) == found
