"""A fine-tuning provider that wants more than it is given: the data set elsewhere, the terminal, memory, time, the next run."""

import json
import threading
import unicodedata
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from typer.testing import CliRunner, Result

from tests.endless import SOCKET_BUFFERS_BYTES, serving_endless
from tests.training.test_jobs import place_of
from training import cli
from training.config import Settings, TrainingConfig
from training.errors import ProviderError
from training.jobs import job
from training.jobs.answers import Event, Job, Page, Uploaded, parse
from training.jobs.provider import JobRequest, Provider, open_provider

Answer: TypeAlias = tuple[int, bytes, dict[str, str]]
"""Status, body, headers."""
STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202eevil\u200b"


@dataclass
class Hostile:
    """A server whose answers are scripted by the last part of the path and the method."""

    url: str = ""
    answers: dict[str, JsonValue | Answer] = field(default_factory=dict[str, JsonValue | Answer])
    """`POST files`, `GET jobs` and so on -> a JSON body, or a whole answer."""
    asked: list[str] = field(default_factory=list[str])
    bodies: list[bytes] = field(default_factory=list[bytes])

    def answer(self, method: str, path: str) -> Answer:
        parts = path.partition("?")[0].split("/")
        named = "job" if parts[-2] == "jobs" else parts[-1]
        self.asked.append(f"{method} {named}")
        found = self.answers.get(f"{method} {named}", {"data": [], "has_more": False})
        return found if isinstance(found, tuple) else (200, json.dumps(found).encode(), {})


@contextmanager
def serving() -> Generator[Hostile]:
    state = Hostile()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, headers = state.answer(self.command, self.path)
            state.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hostile() -> Generator[Hostile]:
    with serving() as state:
        state.answers |= {"POST files": {"id": "file-1"}, "POST jobs": {"id": "ftjob-1", "status": "queued"}}
        yield state


def settings_at(url: str, folder: Path, *, request_timeout_s: float = 20.0) -> Settings:
    training = TrainingConfig(
        base_url=url, api_key_env="TUNING_KEY", model="gpt-4o-mini", poll_s=0.01, request_timeout_s=request_timeout_s
    )
    return Settings(data_dir=folder, training=training, api_key="secret-key")


NearTrain: TypeAlias = Callable[..., Result]


@pytest.fixture
def near_train(hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NearTrain:
    """The command line over a data set in the folder; what would be a traceback fails the test."""
    place_of(settings_at(hostile.url, tmp_path))
    config = tmp_path / "agent.toml"
    config.write_text("")
    for name, value in {
        "NEAR_AGENT_CONFIG": str(config),
        "NEAR_AGENT_DAEMON__DATA_DIR": str(tmp_path),
        "NEAR_AGENT_TRAINING__BASE_URL": hostile.url,
        "NEAR_AGENT_TRAINING__API_KEY_ENV": "TUNING_KEY",
        "NEAR_AGENT_TRAINING__MODEL": "gpt-4o-mini",
        "NEAR_AGENT_TRAINING__POLL_S": "0.01",
        "TUNING_KEY": "secret-key",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(cli.app, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


ROUTES: dict[str, Callable[[Provider], Coroutine[None, None, object]]] = {
    "GET files": lambda provider: provider.find_file("train.jsonl"),
    "POST files": lambda provider: provider.upload("train.jsonl", b"{}"),
    "GET jobs": lambda provider: provider.find_job("run-1"),
    "POST jobs": lambda provider: provider.create_job(
        JobRequest("run-1", "m", "file-1", None, None, 0, "auto", "auto", "auto")
    ),
    "GET job": lambda provider: provider.job("ftjob-1"),
    "GET events": lambda provider: provider.events("ftjob-1"),
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_the_data_set_nowhere_else(hostile: Hostile, tmp_path: Path, status: int) -> None:
    with serving() as other:
        async with open_provider(settings_at(hostile.url, tmp_path)) as provider:
            for route, ask in ROUTES.items():
                before = dict(hostile.answers)
                hostile.answers[route] = (status, b"", {"Location": f"{other.url}/elsewhere"})
                with pytest.raises(ProviderError, match=f"answered {status}"):
                    await ask(provider)
                hostile.answers = before
    assert other.asked == []


def shows_only_itself(text: str) -> bool:
    """No character of the text steers a terminal or hides."""
    return all(character in "\n\t" or unicodedata.category(character)[0] != "C" for character in text)


def test_providers_words_do_not_steer_the_terminal(hostile: Hostile, near_train: NearTrain) -> None:
    assert near_train("start").exit_code == 0
    hostile.answers |= {
        "GET job": {"id": "ftjob-1", "status": "failed", "error": {"message": STEERING, "code": STEERING}},
        "GET events": {
            "data": [
                {"id": STEERING, "created_at": 10**30, "level": STEERING, "message": STEERING},
                {"id": "2", "created_at": "now", "level": None, "message": "visible\nforged line"},
            ]
        },
    }
    followed = near_train("status", "--follow")
    assert followed.exit_code == 4
    assert "owned" in followed.stdout
    assert "\nforged line" not in followed.stdout
    assert shows_only_itself(followed.output)
    hostile.answers["GET job"] = (400, json.dumps({"error": {"message": STEERING, "code": STEERING}}).encode(), {})
    refused = near_train("status")
    assert "[http_400]" in refused.stderr
    assert shows_only_itself(refused.output)


@pytest.mark.parametrize("model", [STEERING, "a b", "", "m" * 300, 5])
def test_a_model_that_no_model_can_be_called_is_not_kept(
    hostile: Hostile, near_train: NearTrain, tmp_path: Path, model: JsonValue
) -> None:
    assert near_train("start").exit_code == 0
    hostile.answers["GET job"] = {"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": model}
    told = near_train("status")
    assert told.exit_code == 4
    assert "fine_tuned_model" in told.stderr
    assert shows_only_itself(told.output)
    (kept,) = (tmp_path / "training" / "runs").glob("*/run.json")
    assert json.loads(kept.read_bytes())["fine_tuned_model"] is None


@pytest.mark.parametrize("status", [None, 7, "", STEERING, {"a": 1}, ["succeeded"], "x" * 1000])
def test_a_job_without_a_status_is_unknown_and_later_commands_go_on(
    hostile: Hostile, near_train: NearTrain, status: JsonValue
) -> None:
    hostile.answers["POST jobs"] = hostile.answers["GET job"] = {"id": "ftjob-1", "status": status}
    started = near_train("start")
    assert started.exit_code == 0
    assert "job ftjob-1 is unknown" in started.stdout
    for _ in range(2):
        assert "job ftjob-1 is unknown" in near_train("status").stdout
    hostile.answers["GET job"] = {"id": "ftjob-1", "status": "succeeded", "fine_tuned_model": "ft:x"}
    assert "succeeded, model ft:x" in near_train("status").stdout


def test_a_run_that_was_written_without_a_status_is_read(
    hostile: Hostile, near_train: NearTrain, tmp_path: Path
) -> None:
    assert near_train("start").exit_code == 0
    (kept,) = (tmp_path / "training" / "runs").glob("*/run.json")
    kept.write_text(json.dumps({**json.loads(kept.read_bytes()), "status": None}))
    hostile.answers["GET job"] = {"id": "ftjob-1", "status": "running"}
    assert "job ftjob-1 is running" in near_train("status").stdout
    kept.write_text('{"status": ')
    unreadable = near_train("status")
    assert unreadable.exit_code == 2
    assert "run_unreadable" in unreadable.stderr


BODIES: list[bytes] = [
    b"<html>It works</html>",
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"data": {}}',
    b'{"data": [null]}',
    b'{"data": [{"id": 5}]}',
    b'{"id": null}',
    b'{"id": "../../files"}',
    b'{"id": "\x1b[2J"}',
    b"[" * 5000 + b"]" * 5000,
    b'{"id": ' * 900 + b"1" + b"}" * 900,
    b'{"id": "a", "id": 1e999}',
    b"\xff\xfe",
    rb'{"id": "\ud800"}',
    b"1" * 5000,
]


async def error_of(asking: Coroutine[None, None, object]) -> ProviderError | None:
    try:
        await asking
    except ProviderError as error:
        return error
    return None


@pytest.mark.parametrize("http_status", [200, 500])
@pytest.mark.parametrize("route", ROUTES)
async def test_any_answer_is_a_value_or_one_clear_error(
    hostile: Hostile, tmp_path: Path, route: str, http_status: int
) -> None:
    async with open_provider(settings_at(hostile.url, tmp_path)) as provider:
        for body in BODIES:
            headers = {"Content-Type": "text/html; charset=punycode", "Retry-After": "90"}
            hostile.answers[route] = (http_status, body, headers)
            error = await error_of(ROUTES[route](provider))
            if error is None:
                assert http_status == 200
                assert route not in {"POST files", "POST jobs", "GET job"}, body
                continue
            assert error.code == ("bad_answer" if http_status == 200 else "http_500")
            assert shows_only_itself(error.message)
            assert len(error.message) < 600
    assert len(hostile.asked) <= 2 * len(BODIES), "a server that wants a long pause is not asked again"


def test_a_page_instead_of_an_answer_ends_the_command_in_a_line(hostile: Hostile, near_train: NearTrain) -> None:
    hostile.answers["POST jobs"] = (200, BODIES[0], {"Content-Type": "text/html"})
    ended = near_train("start")
    assert ended.exit_code == 4
    assert ended.stderr.startswith("near-train: creating the job: the answer is not JSON")
    assert "near-train start --run run-" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = [
    "id",
    "status",
    "error",
    "metadata",
    "fine_tuned_model",
    "created_at",
    "level",
    "message",
    "data",
    "has_more",
]


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON) | _JSON)
def test_whatever_a_field_holds_becomes_a_value_that_can_be_kept_and_printed(value: Any) -> None:
    for kind in (Job, Uploaded, Event, Page):
        with suppress(ProviderError):
            parsed = parse(kind, value, "reading")
            assert kind.model_validate_json(parsed.model_dump_json()) == parsed
            if isinstance(parsed, Job):
                assert shows_only_itself(f"{parsed.id}{parsed.status}{parsed.fine_tuned_model}{parsed.error}")


@pytest.mark.parametrize("announced_bytes", [640_000_000, None], ids=["with a length", "in chunks"])
async def test_an_answer_without_end_is_cut_off_at_its_limit(tmp_path: Path, announced_bytes: int | None) -> None:
    async with serving_endless(b" " * 1000, announced_bytes=announced_bytes) as endless:
        settings = settings_at(endless.url, tmp_path)
        async with open_provider(settings, max_body_bytes=50_000) as provider:
            with pytest.raises(ProviderError, match="larger than 50000 bytes") as cut:
                await provider.job("ftjob-1")
        assert cut.value.code == "bad_answer"
        await endless.left.wait()
        assert endless.sent_bytes < 50_000 + SOCKET_BUFFERS_BYTES
        assert len(endless.requests) == 1, "it is not asked again"


async def test_a_byte_now_and_then_does_not_outlast_request_timeout_s(tmp_path: Path) -> None:
    async with serving_endless(b" ", pause_s=0.02) as endless:
        settings = settings_at(endless.url, tmp_path, request_timeout_s=0.3)
        run = job.prepare(settings, place_of(settings), lambda: 1_790_000_000.0)
        async with open_provider(settings) as provider:
            with pytest.raises(ProviderError, match=r"no whole answer within 0\.3 s") as lost:
                await job.submit(settings, run, provider)
        assert lost.value.code == "no_answer"
        await endless.left.wait()


async def test_a_list_that_never_ends_is_left(hostile: Hostile, tmp_path: Path) -> None:
    hostile.answers["GET files"] = {"data": [{"id": "file-9", "filename": "other"}], "has_more": True}
    async with open_provider(settings_at(hostile.url, tmp_path)) as provider:
        assert await provider.find_file("mine") is None
    assert hostile.asked == ["GET files"] * 2, "the second page is the first one again"
