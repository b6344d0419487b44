"""The command line in this process: with no daemon, the same pipeline runs inside the command."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.commands.asking import approve_now
from agent.commands.chatting import converse
from agent.commands.client import DaemonSession
from agent.commands.exits import CommandError, exit_code_of
from agent.commands.streamed import Answered, Began, Streamed
from agent.data_folder import DaemonAddress, lock_folder, remove_address, running_daemon, write_address, write_key


class Cli:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder.parent / "empty.toml"
        self.config.touch()

    def __call__(self, *arguments: str, stdin: str | None = None, **more: str) -> Result:
        environ = {
            "NEAR_AGENT_CONFIG": str(self.config),
            "NEAR_AGENT_DAEMON__DATA_DIR": str(self.folder),
            "NEAR_AGENT_LOCALNET__LISTEN": "127.0.0.1:0",
            **more,
        }
        return CliRunner().invoke(app, list(arguments), input=stdin, env=environ)

    def json(self, *arguments: str, exit_code: int = 0, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        done = self(*arguments, "--json", **(more or {}))
        assert done.exit_code == exit_code, done.output
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """One data folder for all: its chain is made once."""
    return Cli(tmp_path_factory.mktemp("cli") / "data")


def test_a_view_is_answered(cli: Cli) -> None:
    done = cli("ask", "/near_balance alice.localnet")
    assert done.exit_code == 0, done.output
    assert "NEAR" in done.stdout
    facts = cli.json("ask", "/near_balance bob.localnet")
    assert facts["status"] == "answered"
    assert facts["outcomes"][0]["value"]["amount"] == str(10_000 * 10**24)


def test_yes_registers_the_receiver_and_moves_exact_units(cli: Cli) -> None:
    facts = cli.json("ask", "/ft_transfer token=USDC receiver_id=carol.localnet amount=12.5", "--yes")
    assert facts["status"] == "executed"
    assert facts["outcomes"][0]["status"] == "final"
    assert cli.json("ask", "/ft_balance USDC carol.localnet")["outcomes"][0]["value"] == "12500000"
    refused = cli("ask", "/ft_transfer token=USDC receiver_id=carol.localnet amount=12.5000001", "--yes")
    assert refused.exit_code == 2
    assert "6" in refused.stdout
    assert cli.json("ask", "/ft_balance USDC carol.localnet")["outcomes"][0]["value"] == "12500000"


@pytest.mark.parametrize(
    ("text", "exit_code"),
    [
        ("/help", 0),
        ("/near_balanse alice.localnet", 2),
        ("please do something", 2),
        ("confirm 00000000", 2),
        ("/near_transfer bob.localnet", 3),
        ("/near_balance nobody.localnet", 4),
        ("/near_balance @me", 0),
    ],
)
def test_exit_codes_of_answers(cli: Cli, text: str, exit_code: int) -> None:
    done = cli("ask", text)
    assert done.exit_code == exit_code, done.output
    assert done.stdout.strip()


def test_the_exit_code_of_every_status() -> None:
    def code(status: str, *errors: str | None) -> int:
        outcomes = [{"error": None if error is None else {"code": error}} for error in errors]
        return exit_code_of({"status": status, "outcomes": outcomes})

    assert [code(status) for status in ("answered", "executed")] == [0, 0]
    assert [code(status) for status in ("refused", "unsupported")] == [2, 2]
    assert [code(status) for status in ("needs_approval", "clarify")] == [3, 3]
    assert [code(status) for status in ("failed", "partially_executed", "declined")] == [4, 4, 4]
    assert code("unconfirmed") == 5
    assert code("failed", "TRANSPORT") == 6
    assert exit_code_of({"status": "failed", "outcomes": [], "error": {"code": "TRANSPORT"}}) == 6
    assert exit_code_of({"status": "failed", "outcomes": [], "error": {"code": "timeout"}}) == 4
    assert code("failed", None, "TRANSPORT", "UNKNOWN_ACCOUNT") == 4


def test_a_card_waits_for_its_code_or_the_operator(cli: Cli) -> None:
    card = cli.json("ask", "/near_transfer bob.localnet 1", exit_code=3)
    code = card["confirm_code"]
    listed = cli("approve", "--list")
    assert card["request_id"] in listed.stdout
    assert code not in listed.stdout
    assert [item["request_id"] for item in cli.json("approve", "--list")["cards"]] == [card["request_id"]]
    done = cli.json("approve", code)
    assert done["status"] == "executed"
    second = cli.json("ask", "/near_transfer bob.localnet 2", exit_code=3)
    assert cli.json("approve", second["request_id"])["status"] == "executed"
    assert "no card waits" in cli("approve", "--list").stdout
    unwanted = cli.json("ask", "/near_transfer bob.localnet 4", exit_code=3)["request_id"]
    assert (
        cli("approve", unwanted, "--drop").stdout
        == f"Cancelled: send 4 NEAR from alice.localnet to bob.localnet (request {unwanted})\n"
    )
    again = cli("approve", unwanted, "--drop")
    assert (again.exit_code, f"No card waits for request {unwanted}" in again.stdout) == (2, True)
    assert cli("approve", code, "--drop").exit_code == 2
    assert "no card waits" in cli("approve", "--list").stdout
    for arguments in (["approve"], ["approve", code, "--list"]):
        assert cli(*arguments).exit_code == 2
    for wrong in ("nonsense-id", "nonsense"):
        neither = cli("approve", wrong)
        assert (neither.exit_code, "neither a card's code nor a request id" in neither.stderr) == (2, True)
    third = cli.json("ask", "/near_transfer bob.localnet 3", exit_code=3)
    cancelled = cli("ask", f"cancel {third['confirm_code']}")
    assert (cancelled.exit_code, cancelled.stdout.strip()) == (
        4,
        f"Nothing was sent: request {third['request_id']} was cancelled.",
    )


def test_a_question_that_nobody_answers_changes_nothing_and_is_a_usage_error(cli: Cli) -> None:
    for answer in ("", "n\n"):
        done = cli("keys", "rotate", "alice.localnet", stdin=answer)
        assert (done.exit_code, "nothing was done" in done.stderr) == (2, True)


def test_text_can_come_from_stdin(cli: Cli) -> None:
    done = cli("ask", "-", stdin="/near_balance bob.localnet\n")
    assert done.exit_code == 0
    assert "bob.localnet" in done.stdout


def test_a_chat_goes_on_after_an_error(cli: Cli) -> None:
    done = cli("chat", stdin="/near_balance bob.localnet\n\n/nothing\n/help near_balance\n")
    assert done.exit_code == 0
    assert "bob.localnet has" in done.stdout
    assert "/near_balance account_id" in done.stdout
    lines = cli("chat", "--json", stdin="/near_balance bob.localnet\n/nothing\n").stdout.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["answered", "refused"]


def test_records_are_shown_in_order(cli: Cli) -> None:
    cli.json("ask", "/near_balance bob.localnet")
    done = cli("log", "--limit", "2")
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 2
    last = json.loads(cli("log", "--json", "-n", "1").stdout)
    assert last["request"]["text"] == "/near_balance bob.localnet"
    assert last["status"] == "answered"
    nothing = Cli(cli.folder.parent / "other")("log", "--json")
    assert nothing.exit_code == 0
    assert json.loads(nothing.stdout)["error"]["code"] == "no_records"


def test_api_keys_are_made_listed_and_revoked(cli: Cli) -> None:
    made = cli.json("api-keys", "create", "--account", "bob.localnet", "--may-not-confirm")
    assert re.fullmatch(r"na_[A-Za-z0-9_-]{43}", made["api_key"])
    plain = cli("api-keys", "create")
    assert re.fullmatch(r"na_[A-Za-z0-9_-]{43}\n", plain.stdout)
    listed = cli("api-keys", "list").stdout
    assert f"{made['key_id']}  bob.localnet" in listed
    assert made["api_key"] not in listed
    assert cli("api-keys", "revoke", made["key_id"]).exit_code == 0
    assert "revoked" in cli("api-keys", "list").stdout
    assert cli("api-keys", "revoke", made["key_id"]).exit_code == 2
    assert len(cli.json("api-keys", "list")["api_keys"]) == 3


def test_keys_are_generated_imported_and_never_shown(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    testnet = {"NEAR_AGENT_NETWORK": "testnet", "NEAR_AGENT_KEYS__CREDENTIALS_DIR": str(tmp_path / "keys")}
    made = cli.json("keys", "generate", "you.testnet", more=testnet)
    path = tmp_path / "keys" / "testnet" / "you.testnet.json"
    assert made["path"] == str(path)
    assert "faucet" in made["hint"]
    assert path.stat().st_mode & 0o777 == 0o600
    secret = json.loads(path.read_text())["private_key"]
    again = cli("keys", "generate", "you.testnet", **testnet)
    assert again.exit_code == 2
    assert "never overwritten" in again.stderr
    path.unlink()
    imported = cli("keys", "import", "you.testnet", stdin=secret + "\n", **testnet)
    assert imported.exit_code == 0
    assert made["public_key"] in imported.stdout
    wrong = cli("keys", "import", "me.testnet", stdin=secret[:-4] + "\n", **testnet)
    assert wrong.exit_code == 2
    assert cli("keys", "generate", "Not An Account", **testnet).exit_code == 2
    (tmp_path / "keys" / "testnet" / "broken.testnet.json").write_text("{}")
    listed = cli("keys", "list", **testnet)
    assert f"you.testnet  {made['public_key']}" in listed.stdout
    assert "broken.testnet.json" in listed.stderr
    assert cli.json("keys", "list", more=testnet)["accounts"] == {"you.testnet": [made["public_key"]]}
    for done in (imported, wrong, listed):
        assert secret[8:40] not in done.output


def test_the_chain_is_made_ahead_of_the_daemon(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    assert "credentials" in cli("localnet", "init").stdout
    made = cli.json("localnet", "init")
    assert Path(made["genesis"]).is_file()
    assert list(cli.json("keys", "list")["accounts"]) == ["alice.localnet", "bob.localnet", "carol.localnet"]


def test_doctor_says_what_is_wrong_and_what_to_do(cli: Cli, tmp_path: Path) -> None:
    healthy = cli("doctor")
    assert "2 processes, one at a time for an identity, 8 plans of it may wait, 30 s for a turn" in healthy.output
    assert healthy.exit_code == 0, healthy.output
    assert "alice.localnet has 1" in healthy.stdout
    silent = {
        "NEAR_AGENT_NETWORK": "testnet",
        "NEAR_AGENT_NETWORKS__TESTNET__RPC": '["http://127.0.0.1:9"]',
        "NEAR_AGENT_RPC__ATTEMPTS": "1",
    }
    done = cli("doctor", **silent)
    assert done.exit_code == 6
    assert "fail  rpc" in done.stdout
    assert "->" in done.stdout
    checks = cli.json("doctor", exit_code=2, more={"NEAR_AGENT_NETWORK": "moonnet"})["checks"]
    assert checks[0]["verdict"] == "fail"
    assert "moonnet" in checks[0]["found"]
    model = {
        "NEAR_AGENT_MODELS__STANDARD__BASE_URL": "http://127.0.0.1:9/v1",
        "NEAR_AGENT_MODELS__STANDARD__MODEL": "m",
        "NEAR_AGENT_MODELS__STANDARD__API_KEY_ENV": "A_KEY_THAT_IS_NOT_SET",
    }
    missing = cli("doctor", **model)
    assert missing.exit_code == 2
    assert "A_KEY_THAT_IS_NOT_SET" in missing.stdout
    refused = cli("doctor", **model, A_KEY_THAT_IS_NOT_SET="k" * 20)
    assert refused.exit_code == 4
    assert "does not answer" in refused.stdout
    file = tmp_path / "file"
    file.write_text("")
    assert cli("doctor", "--data-dir", str(file / "data")).exit_code == 2
    assert cli("ask", "/help", "--data-dir", str(file / "data")).exit_code == 2


def test_wrong_settings_end_in_a_line_that_names_them(cli: Cli, tmp_path: Path) -> None:
    misspelt = cli("ask", "/help", NEAR_AGENT_DEAMON__LISTEN="127.0.0.1:0")
    assert misspelt.exit_code == 2
    assert "NEAR_AGENT_DAEMON__LISTEN" in misspelt.stderr
    assert "Traceback" not in misspelt.stderr
    missing = cli("run", "--config", str(tmp_path / "none.toml"))
    assert missing.exit_code == 2
    assert "none.toml" in missing.stderr
    as_json = cli("ask", "/help", "--json", NEAR_AGENT_NETWORK="moonnet")
    assert json.loads(as_json.stdout)["error"]["code"] == "config_invalid"
    unreachable = cli(
        "ask",
        "/near_balance alice.localnet",
        NEAR_AGENT_NETWORKS__LOCALNET__RPC='["http://127.0.0.1:9"]',
        NEAR_AGENT_RPC__ATTEMPTS="1",
    )
    assert unreachable.exit_code == 6
    assert cli("ask", "/help", "--model", "gpt-5").exit_code == 2


def test_a_folder_in_use_by_no_daemon_is_not_waited_for_long(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(f'[daemon]\ndata_dir = "{tmp_path / "data"}"\n')
    with lock_folder(tmp_path / "data"):
        done = cli("run", "--config", str(config), NEAR_AGENT_DAEMON__DATA_DIR=str(tmp_path / "data"))
    assert done.exit_code == 2
    assert str(os.getpid()) in done.stderr


def test_only_a_living_daemon_is_spoken_to(tmp_path: Path) -> None:
    address = DaemonAddress(pid=os.getpid(), url="http://127.0.0.1:9", rpc_url="", network="localnet")
    assert running_daemon(tmp_path) is None
    write_address(tmp_path, address)
    assert running_daemon(tmp_path) is None
    with lock_folder(tmp_path):
        assert running_daemon(tmp_path) == address
        remove_address(tmp_path)
        assert running_daemon(tmp_path, wait_s=0.2) is None
        with ThreadPoolExecutor(1) as threads:
            starting = threads.submit(running_daemon, tmp_path, wait_s=30)
            write_address(tmp_path, address)
            assert starting.result() == address
        write_address(tmp_path, DaemonAddress(pid=2**22 + 1, url="", rpc_url="", network=""))
        assert running_daemon(tmp_path) is None
        (tmp_path / "daemon.json").write_text("[]")
        assert running_daemon(tmp_path) is None
    silent = DaemonSession(tmp_path, address)
    with pytest.raises(CommandError) as no_key:
        silent.cards()
    assert no_key.value.code == "no_key"
    write_key(tmp_path, "operator_key", "k")
    with pytest.raises(CommandError) as caught:
        silent.cards()
    assert caught.value.exit_code == 6


class Scripted:
    """A session that answers what it is told to."""

    def __init__(self, *answers: dict[str, Any] | CommandError, network: str = "localnet") -> None:
        self._answers = list(answers)
        self._network = network
        self.said: list[str] = []

    @property
    def network(self) -> str:
        return self._network

    @property
    def goes_on(self) -> str:
        return "here"

    def stream(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> Generator[Streamed]:
        yield Began("r1")
        yield Answered(self.complete(messages, conversation_id, model))

    def names(self) -> dict[str, Any]:
        return self._next()

    def complete(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> dict[str, Any]:
        del conversation_id, model
        self.said.append(json.dumps([message["content"] for message in messages]))
        return self._next()

    def approve(self, request_id: str) -> dict[str, Any]:
        self.said.append(f"approve {request_id}")
        return self._next()

    def drop(self, request_id: str) -> dict[str, Any]:
        self.said.append(f"drop {request_id}")
        return self._next()

    def cards(self) -> dict[str, Any]:
        return self._next()

    def approve_as(self, key: str, request_id: str) -> dict[str, Any]:
        del key
        return self.approve(request_id)

    def cards_as(self, key: str) -> dict[str, Any]:
        del key
        return self._next()

    def cancel_tx(self, what: str) -> dict[str, Any]:
        del what
        return self._next()

    def acknowledge_key(self, account_id: str, public_key: str) -> dict[str, Any]:
        del account_id, public_key
        return self._next()

    def rotate_key(self, account_id: str, public_key: str | None) -> dict[str, Any]:
        del account_id, public_key
        return self._next()

    def add_contract(self, account_id: str) -> dict[str, Any]:
        del account_id
        return self._next()

    def contracts(self) -> dict[str, Any]:
        return self._next()

    def remove_contract(self, account_id: str) -> dict[str, Any]:
        del account_id
        return self._next()

    def create_key(self, account_id: str | None, may_confirm: bool | None) -> dict[str, Any]:  # noqa: FBT001 -- the session's
        del account_id, may_confirm
        return self._next()

    def api_keys(self) -> dict[str, Any]:
        return self._next()

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        del key_id
        return self._next()

    def _next(self) -> dict[str, Any]:
        answer = self._answers.pop(0)
        if isinstance(answer, CommandError):
            raise answer
        return answer


def answer(text: str, **facts: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}], "near_agent": {"request_id": "r1", **facts}}


def test_yes_stops_at_a_card_of_another_network() -> None:
    with pytest.raises(CommandError) as caught:
        approve_now(Scripted(network="testnet"), answer("card", confirm_code="7K3M9QRT"), "near-agent")
    assert caught.value.exit_code == 3
    assert "near-agent approve 7K3M9QRT" in str(caught.value)
    local = Scripted(answer("done"))
    approve_now(local, answer("card"), "near-agent")
    assert local.said == ["approve r1"]


def test_a_chat_sends_what_was_said_and_leaves_out_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = iter(["one", "two", "three"])
    session = Scripted(answer("1"), CommandError("the daemon went away", 6), answer("3"))
    converse(session, "c", "near-agent", lambda: next(lines, None), as_json=False)
    assert session.said == ['["one"]', '["one", "1", "two"]', '["one", "1", "three"]']
    shown = capsys.readouterr()
    assert shown.out == "1\n3\n"
    assert "the daemon went away" in shown.err


@pytest.mark.parametrize("end", ["/quit", "/exit", ""])
def test_a_chat_ends_when_it_is_told_to(cli: Cli, end: str) -> None:
    done = cli("chat", stdin=f"/help near_wrap\n{end}\n" + ("/near_nothing\n" if end else ""))
    assert done.exit_code == 0, done.output
    assert "/near_wrap amount" in done.output
    assert "there is no command" not in done.output


def test_the_version_is_told_and_the_help_names_it(cli: Cli) -> None:
    from importlib.metadata import version

    told = cli("--version")
    assert (told.exit_code, told.stdout) == (0, f"near-agent {version('near-agent')}\n")
    helped = cli("--help").stdout
    assert "--version" in helped
    assert "Carries out what you write on NEAR" in helped


def test_help_and_asking_a_daemon_import_nothing_heavy() -> None:
    """Time itself is the bench's business; what costs it is held here."""
    heavy = ("sqlalchemy", "wasmtime", "aiohttp", "openai", "structlog", "agent.config", "agent.records")
    program = "import sys, agent.cli, agent.commands.client; print([m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_log_follows(cli: Cli) -> None:
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("NEAR_AGENT_")},
        "NEAR_AGENT_CONFIG": str(cli.config),
    }
    command = [sys.executable, "-m", "agent.cli", "log", "--follow", "--json", "--data-dir", str(cli.folder)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["schema_version"] == 2
        asked = cli.json("ask", "/near_balance carol.localnet")
        deadline = time.monotonic() + 30
        while json.loads(follower.stdout.readline())["request"]["request_id"] != asked["request_id"]:
            assert time.monotonic() < deadline
        follower.terminate()
