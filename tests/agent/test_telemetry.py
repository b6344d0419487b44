"""Logs go to one place in two forms, and hold no secret."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from agent.telemetry import set_up_logging
from tests.agent.test_redaction import ED25519_SECRET


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("restored_logging")
def test_logs_are_one_json_object_a_line_without_secrets() -> None:
    stream = io.StringIO()
    set_up_logging("info", stream)
    log = structlog.get_logger()
    log.debug("request_heard")
    log.info(
        "request_routed", request_id="r1", private_key="abc", text="confirm 7Z4K9QXA", path=Path("/x"), keys=("a",)
    )
    logging.getLogger("aiohttp.server").warning("Bearer %s", "abcdefghijkl")
    try:
        int(f"ed25519:{ED25519_SECRET}")
    except ValueError:
        log.exception("request_failed")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["request_routed", "Bearer ************", "request_failed"]
    assert lines[0]["request_id"] == "r1"
    assert (lines[0]["private_key"], lines[0]["text"]) == ("***", "confirm ********")
    assert (lines[0]["path"], lines[0]["keys"], lines[0]["level"]) == ("/x", ["a"], "info")
    assert "ValueError" in lines[2]["exception"]
    assert ED25519_SECRET not in stream.getvalue()


@pytest.mark.usefixtures("restored_logging")
def test_on_a_terminal_logs_are_for_people_and_without_secrets_too() -> None:
    stream = Terminal()
    set_up_logging("debug", stream)
    log = structlog.get_logger()
    log.debug("request_heard", api_key="abc")
    try:
        int(f"ed25519:{ED25519_SECRET}")
    except ValueError:
        log.exception("request_failed")
    text = stream.getvalue()
    assert "request_heard" in text
    assert "abc" not in text
    assert "ValueError" in text
    assert ED25519_SECRET not in text
    assert not text.startswith("{")


@pytest.mark.usefixtures("restored_logging")
def test_servers_words_do_not_steer_the_terminal_that_a_log_is_read_on() -> None:
    stream = Terminal()
    set_up_logging("debug", stream)
    log = structlog.get_logger()
    said = "\x9b2J\x1b]0;owned\x07\u202eevil"
    log.info("specialist_seen", model=said, models=[said], base_url=f"http://{said}")
    logging.getLogger("aiohttp.server").warning("bad line %s", said)
    try:
        int(said)
    except ValueError:
        log.exception("request_failed")
    shown = stream.getvalue()
    assert shown.count("owned") >= 4
    for steering in ("\x9b", "\x1b]", "\x07", "\u202e"):
        assert steering not in shown


@pytest.mark.usefixtures("restored_logging")
def test_a_log_that_cannot_be_written_is_lost_and_breaks_nothing() -> None:
    stream = io.StringIO()
    set_up_logging("info", stream)
    stream.close()
    structlog.get_logger().info("request_routed")
    logging.getLogger("aiohttp.server").warning("gone")


@pytest.mark.usefixtures("restored_logging")
def test_logs_follow_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info")
    structlog.get_logger().info("request_routed")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "request_routed"
