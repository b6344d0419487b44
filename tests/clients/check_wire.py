"""Requests other than plain questions, sent by the clients themselves."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.types import JsonObject
from tests.clients.child_programs import INSTALLED, PROGRAMS, PYTHON, Child, program
from tests.clients.seams import ClientFailedError
from tests.e2e.programs import RunningDaemon

_NODE = INSTALLED / "programs"
PROGRAM_OF = {
    "openai (Python)": (sys.executable, PROGRAMS / "openai_py.py"),
    "openai (JavaScript)": ("node", _NODE / "openai_js.mjs"),
    "AI SDK, chat completions": ("node", _NODE / "ai_sdk.mjs", "chat"),
    "AI SDK, Responses": ("node", _NODE / "ai_sdk.mjs", "responses"),
}
LANGCHAIN = (PYTHON, PROGRAMS / "with_langchain.py")
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LOOK = "/near_balance carol.localnet"
PROMPT = "Generate a concise title for the conversation.\n<chat_history>\nUSER: {said}\n</chat_history>"
SAID = "please send 0.25 NEAR to bob.localnet"
TITLE: JsonObject = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}

each_program = pytest.mark.parametrize("command", PROGRAM_OF.values(), ids=PROGRAM_OF)


def _call(
    running: RunningDaemon, command: Sequence[str | Path], folder: Path, op: str, base: str = "/v1", **fields: object
) -> JsonObject:
    with program([str(part) for part in command], folder) as process:
        return Child(process, running.url + base, running.key).call(op, **fields)


@each_program
@pytest.mark.parametrize("base", ["/v1/", "//v1", "/v1//"])
def test_a_slash_too_many_in_the_base_address_does_no_harm(
    running: RunningDaemon, command: Sequence[str], tmp_path: Path, base: str
) -> None:
    messages = [{"role": "user", "content": LOOK}]
    answer = _call(running, command, tmp_path, "ask", base, model="near-agent", messages=messages)
    assert "10000 NEAR" in str(answer["text"])


@each_program
@pytest.mark.parametrize("op", ["embed", "complete"])
def test_a_call_that_is_not_served_names_the_one_that_is(
    running: RunningDaemon, command: Sequence[str], tmp_path: Path, op: str
) -> None:
    with pytest.raises(ClientFailedError, match="POST /v1/chat/completions"):
        _call(running, command, tmp_path, op)


@each_program
def test_an_image_is_said_not_to_be_read(running: RunningDaemon, command: Sequence[str], tmp_path: Path) -> None:
    beside = str(_call(running, command, tmp_path, "image", text=LOOK, image=PIXEL)["text"])
    assert "10000 NEAR" in beside
    assert beside.endswith("The image was not read; only text is.")
    with pytest.raises(ClientFailedError, match="holds image content and no text"):
        _call(running, command, tmp_path, "image", text="", image=PIXEL)


@pytest.mark.parametrize("command", [*PROGRAM_OF.values(), LANGCHAIN], ids=[*PROGRAM_OF, "LangChain"])
def test_a_forced_tool_is_for_front_ends_own_prompts(
    running: RunningDaemon, command: Sequence[str], tmp_path: Path
) -> None:
    value = _call(running, command, tmp_path, "forced", prompt=PROMPT.format(said=SAID), schema=TITLE)["value"]
    assert value == {"title": "Transfer to bob.localnet"}
    with pytest.raises(ClientFailedError, match="Nothing was done"):
        _call(running, command, tmp_path, "forced", prompt=SAID, schema=TITLE)
