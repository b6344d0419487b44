"""`near-agent chat` as a person sees it: on a terminal of its own, with a real daemon on the embedded chain."""

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyte
import pytest

from tests.e2e.programs import CLI, ROOT, RunningDaemon, daemon, environment, near_agent, records
from tests.recording import COLUMNS, ROWS, record
from tests.terminal import CTRL_C, CTRL_D, ENTER, TAB, Terminal, terminal
from tests.training.provider_server import ProviderState, serving_provider

POLICY = """version = 1
[address_book]
robert = "bob.localnet"
"""
WORDS = "send 1 NEAR to robert"
IMPLICIT = "98793cd91a3f870fb126f66285808c7e094afcfc4eda8a970f6648cdf0dbd6de"
AMOUNT = "1.234567890123456789012345"
COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?[349][0-7](?:;[0-9;]*)?m|\x1b\[[0-9;]*[34]8;")
QUESTION = "Send it? [y/N]"
YOCTO = 10**24


@pytest.fixture(scope="module")
def provider() -> Generator[ProviderState]:
    with serving_provider() as state:
        state.plans[WORDS] = [("near_transfer", {"receiver_id": "robert", "amount": "1"})]
        yield state


def _model(provider: ProviderState) -> dict[str, str]:
    return {
        "NEAR_AGENT_MODELS__STANDARD__BASE_URL": provider.url,
        "NEAR_AGENT_MODELS__STANDARD__MODEL": "standard-model",
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, provider: ProviderState) -> Generator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("chat") / "data"
    folder.mkdir(mode=0o700)
    (folder / "policy.toml").write_text(POLICY)
    # A block is made every second and is final three blocks later: a person can watch a transaction settle.
    slow = {"NEAR_AGENT_LOCALNET__FINALITY_LAG_BLOCKS": "3", "NEAR_AGENT_LOCALNET__HEARTBEAT_S": "1"}
    with daemon(folder, more={**_model(provider), **slow}) as started:
        yield started


@contextmanager
def chat(folder: Path, *, columns: int = 100, more: Mapping[str, str] | None = None) -> Generator[Terminal]:
    with terminal((*CLI, "chat"), environment(folder, more), folder.parent, columns=columns) as shown:
        shown.at_prompt()
        yield shown
        assert "Traceback" not in shown.text


def leave(shown: Terminal) -> None:
    shown.type(CTRL_D)
    assert shown.ended() == 0


def lines_of(shown: Terminal, beginning: str) -> list[str]:
    return [line for line in shown.lines if line.startswith(beginning)]


def drop_all(running: RunningDaemon) -> None:
    running.say("/cancel all")


def test_a_card_is_sent_by_y_and_its_settling_is_seen(running: RunningDaemon) -> None:
    drop_all(running)
    before = running.chain_balance_yocto("bob.localnet")
    with chat(running.folder) as shown:
        shown.enter("/near_transfer bob.localnet 1.5")
        card = shown.at_prompt(QUESTION)
        assert "Approval needed" in card
        assert running.chain_balance_yocto("bob.localnet") == before
        shown.enter("y")
        shown.until("ending transaction ")  # "Sending transaction HASH…"
        shown.until("Done: ")
        done = shown.at_prompt()
        assert running.chain_balance_yocto("bob.localnet") == before + 15 * YOCTO // 10
        [tx_hash] = re.findall(r"Transaction ([1-9A-HJ-NP-Za-km-z]{43,44})", done.split("Done: ")[1])
        # What was seen while it settled is gone from the screen, and was there.
        assert "ending transaction " not in shown.text
        assert f"ending transaction {tx_hash}".encode() in shown.written
        assert COLOUR.search(shown.written)
        leave(shown)


def test_n_cancels_the_card_and_enter_leaves_it(running: RunningDaemon) -> None:
    drop_all(running)
    before = running.chain_balance_yocto("bob.localnet")
    with chat(running.folder) as shown:
        shown.enter("/near_transfer bob.localnet 2")
        shown.at_prompt(QUESTION)
        shown.enter("perhaps")
        shown.at_prompt(QUESTION)
        shown.enter("n")
        shown.until("was cancelled")
        shown.at_prompt()
        shown.enter("/near_transfer bob.localnet 3")
        shown.at_prompt(QUESTION)
        shown.enter("")
        shown.until("/cards shows it again")
        shown.at_prompt()
        shown.enter("/cards")
        shown.until(lambda text: text.count("3 NEAR from alice.localnet to bob.localnet") == 2)
        shown.at_prompt()
        leave(shown)
    assert running.chain_balance_yocto("bob.localnet") == before
    assert running.say("/cancel all").text.count("Cancelled") == 1


def test_keys_typed_before_a_card_is_shown_do_not_approve_it(running: RunningDaemon, provider: ProviderState) -> None:
    drop_all(running)
    before = running.chain_balance_yocto("bob.localnet")
    with chat(running.folder) as shown:
        provider.answering.clear()
        shown.enter(WORDS)
        shown.until("Planning with standard-model")
        shown.type("y" + ENTER + "yes" + ENTER)
        provider.answering.set()
        shown.at_prompt(QUESTION)
        shown.enter("")
        shown.until("Nothing is sent.")
        shown.at_prompt()
        leave(shown)
    assert running.chain_balance_yocto("bob.localnet") == before


def test_ctrl_c_clears_a_line_an_empty_one_does_nothing_and_ctrl_d_leaves(running: RunningDaemon) -> None:
    count = len(records(running.folder))
    with chat(running.folder) as shown:
        shown.enter("/near_transfer bob.localnet 5", CTRL_C)
        shown.at_prompt()
        for _ in range(3):
            shown.enter("")
        shown.enter("   ")
        shown.at_prompt()
        assert len(records(running.folder)) == count
        leave(shown)
    with chat(running.folder) as shown:
        shown.enter("/quit")
        assert shown.ended() == 0


def test_ctrl_c_stops_waiting_and_the_request_goes_on(running: RunningDaemon, provider: ProviderState) -> None:
    drop_all(running)
    with chat(running.folder, columns=300) as shown:
        provider.answering.clear()
        shown.enter(WORDS)
        shown.until("Planning with standard-model")
        shown.type(CTRL_C)
        said = shown.until("Stopped waiting. ")
        shown.at_prompt()
        [request_id] = re.findall(r"Request ([0-9a-f-]{36}) goes on in the daemon", said)
        assert "near-agent log, or /cards" in said
        provider.answering.set()
        shown.enter("/near_balance bob.localnet")
        shown.until("in total")
        shown.at_prompt()
        leave(shown)
    ended = {record.request.request_id: record.status for record in records(running.folder)}
    assert ended[request_id] == "needs_approval"


def test_names_tokens_and_accounts_complete(running: RunningDaemon) -> None:
    with chat(running.folder) as shown:
        shown.type("/ft_tr")
        shown.until("/ft_transfer_call")
        shown.type("ansfer us")
        shown.until("USDT")
        shown.enter("", CTRL_C)
        shown.at_prompt()
        shown.type("/near_transfer ro")
        assert "bob.localnet (address book)" in shown.until("address book")
        shown.type(TAB)
        shown.until("> /near_transfer robert")
        shown.type("am")
        shown.until("amount=  ")
        shown.type(TAB)
        shown.until("> /near_transfer robert amount=")
        shown.enter("", CTRL_C)
        shown.at_prompt()
        shown.type("how much has car")
        shown.until("> how much has car")
        shown.type(TAB)
        shown.until("> how much has carol.localnet")
        shown.enter("", CTRL_C)
        shown.at_prompt()
        leave(shown)


def test_forty_columns_break_no_amount_no_id_and_no_code(running: RunningDaemon) -> None:
    drop_all(running)
    with chat(running.folder, columns=40) as shown:
        shown.enter(f"/near_transfer {IMPLICIT} {AMOUNT}")
        shown.at_prompt(QUESTION)
        shown.enter("")
        shown.until("Nothing is sent. The card")
        shown.at_prompt()
        text = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown.written).decode().partition("Approval needed")[2]
        assert f"{AMOUNT} NEAR" in text
        assert IMPLICIT in text
        assert re.search(r"confirm [0-9A-Z]{8}\r?\n", text)
        assert max(len(line) for line in text.splitlines() if IMPLICIT not in line) <= 40
        # On the screen, the id fills one row and goes on in the next.
        assert any(f"{a}{b}".startswith(IMPLICIT) for a, b in zip(shown.lines, shown.lines[1:], strict=False))
        leave(shown)
    drop_all(running)


def test_no_color_writes_no_colour(running: RunningDaemon) -> None:
    with terminal(
        ("/usr/bin/env", "NO_COLOR=1", *CLI, "chat"), environment(running.folder), running.folder.parent, columns=100
    ) as shown:
        shown.at_prompt()
        shown.enter("/near_balance bob.localnet")
        shown.until("in total")
        shown.at_prompt()
        shown.type("/near_b")
        shown.until(lambda text: text.count("/near_balance") >= 2)
        shown.enter("", CTRL_C)
        shown.at_prompt()
        leave(shown)
        assert not COLOUR.search(shown.written)


def test_the_history_holds_lines_and_no_codes(running: RunningDaemon) -> None:
    kept = running.folder / "chat_history"
    kept.write_text("/near_balance dave.localnet\nconfirm 7K3M9QRT\n")
    with chat(running.folder) as shown:
        for line in (
            "/near_balance carol.localnet",
            "confirm 00000000",
            "`cancel 00000001`.",
            " CONFIRM\u00a000000002",
        ):
            shown.enter(line)
            shown.at_prompt()
        shown.type("\x1b[A")
        shown.until(lambda text: text.split("\n")[-1] == "> /near_balance carol.localnet")
        shown.type("\x1b[A")
        shown.until(lambda text: text.split("\n")[-1] == "> /near_balance dave.localnet")
        shown.enter("", CTRL_C)
        shown.at_prompt()
        leave(shown)
    text = kept.read_text()
    assert "carol.localnet" in text
    assert not re.search("0000000[0-2]", text)
    assert kept.stat().st_mode & 0o077 == 0


def test_a_pipe_gets_plain_answers_and_json(running: RunningDaemon) -> None:
    lines = "/near_balance bob.localnet\n\n/near_transfer bob.localnet 4\n"
    done = near_agent(running.folder, "chat", stdin=lines)
    assert done.returncode == 0
    assert "bob.localnet has " in done.stdout
    assert re.search(r"^confirm [0-9A-Z]{8}$", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout
    assert "[y/N]" not in done.stdout
    answers = [
        json.loads(line) for line in near_agent(running.folder, "chat", "--json", stdin=lines).stdout.splitlines()
    ]
    assert [answer["status"] for answer in answers] == ["answered", "needs_approval"]
    done = near_agent(running.folder, "chat", stdin=f"confirm {answers[1]['confirm_code']}\n")
    assert done.stdout.startswith("Done: ")


def _played(recording: str) -> str:
    """The screen at the end of a recording."""
    head, *events = map(json.loads, recording.splitlines())
    assert (head["version"], head["width"], head["height"]) == (2, COLUMNS, ROWS)
    times = [at for at, _, _ in events]
    assert times == sorted(times)
    screen = pyte.Screen(head["width"], head["height"])
    stream = pyte.Stream(screen)
    for _, kind, data in events:
        assert kind == "o"
        stream.feed(data)
    return "\n".join(line.rstrip() for line in screen.display)


@pytest.mark.parametrize("fresh", [False, True], ids=["the one in docs", "a new one"])
def test_the_recording_shows_a_conversation(fresh: bool, tmp_path: Path) -> None:  # noqa: FBT001
    recording = record(tmp_path) if fresh else (ROOT / "docs" / "chat.cast").read_text(encoding="utf-8")
    shown = _played(recording)
    assert shown.startswith("Write what to do, or /help.")
    assert "> /near_transfer robert 1.5\n" in shown
    assert "Send it? [y/N] y\nDone: send 1.5 NEAR from alice.localnet to bob.localnet" in shown
    assert "Send it? [y/N] n\n" in shown
    assert "was cancelled" in shown
    assert "ending transaction " not in shown
    written = "".join(json.loads(line)[2] for line in recording.splitlines()[1:])
    assert "bob.localnet (address book)" in written
    assert "ending transaction " in written
    assert str(tmp_path) not in recording


def test_without_a_daemon_the_chat_is_the_same(tmp_path: Path, provider: ProviderState) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "policy.toml").write_text(POLICY)
    with chat(folder, columns=200, more=_model(provider)) as shown:
        provider.answering.clear()
        shown.enter(WORDS)
        shown.until("Planning with standard-model")
        shown.type(CTRL_C)
        shown.until("goes on in this process")
        shown.at_prompt()
        provider.answering.set()
        shown.enter("/near_transfer robert 2")
        shown.at_prompt(QUESTION)
        shown.enter("y")
        shown.until("Done: ")
        shown.at_prompt()
        leave(shown)
