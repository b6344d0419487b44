"""Clients as child programs, in Python or in JavaScript: a JSON object a line in, one a line out.

    {"op": "models"}                                     -> {"models": ["..."]}
    {"op": "ask", "model": "...", "messages": [...]}     -> {"text": "..."}
    {"op": "stream", "model": "...", "messages": [...]}  -> {"pieces": ["..."]}
    {"op": "leave", "model": "...", "messages": [...]}   -> {}
    {"op": "structured", "prompt": "...", "schema": {}}  -> {"value": {}}

The first line is `{"base_url": "...", "key": "..."}`. What the client shows as an error is {"error": "..."}. A program whose
client keeps the conversation itself reads the last message only; `{"op": "again"}` has it answered again.
"""

import json
import os
import subprocess
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import JsonValue, TypeAdapter

from contracts.types import JsonObject
from tests.clients.seams import Access, Client, ClientFailedError, Tab

PROGRAMS = Path(__file__).parent / "programs"
INSTALLED = Path(__file__).parents[2] / "build" / "clients"
"""The clients, as `make clients` installs them."""
PYTHON = INSTALLED / "venv" / "bin" / "python"
_OBJECT = TypeAdapter(JsonObject)

TITLE_PROMPT = (
    "Write a short title for this conversation, in its language.\n\n"
    "User: {said}\nAI: {answered}\n\nReply with the title and nothing else."
)
"""As clients without a title call of their own have it written by the model, in one user message."""


class Child:
    """A running program."""

    def __init__(self, process: "subprocess.Popen[str]", access: Access) -> None:
        self._process = process
        self._write({"base_url": access.base_url, "key": access.key})

    def call(self, op: str, **fields: Any) -> dict[str, Any]:
        """Return the program's answer. ClientFailedError if it is an error of the client."""
        self._write({"op": op, **fields})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the program ended with {self._process.wait()}; see {INSTALLED / 'programs.log'}"
        answer = _OBJECT.validate_json(line)
        if "error" in answer:
            raise ClientFailedError(str(answer["error"]))
        return dict(answer)

    def _write(self, value: JsonValue) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()


@contextmanager
def child(command: Sequence[str], access: Access, folder: Path) -> Generator[Child]:
    """Run a program until the block ends."""
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PYTHONWARNINGS": "ignore",
    }
    with (
        (INSTALLED / "programs.log").open("a") as log,
        subprocess.Popen(
            command, env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield Child(process, access)
        finally:
            process.kill()


class ProgramTab:
    """A conversation whose history is sent with every message, unless the client keeps it."""

    def __init__(self, program: Child, model: str) -> None:
        self._program = program
        self._model = model
        self._messages: list[JsonObject] = []

    def say(self, text: str) -> str:
        self._messages.append({"role": "user", "content": text})
        return self._answered(str(self._call("ask")["text"]))

    def stream(self, text: str) -> Sequence[str]:
        self._messages.append({"role": "user", "content": text})
        pieces = [str(piece) for piece in self._call("stream")["pieces"]]
        self._answered("".join(pieces))
        return pieces

    def leave(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})
        self._call("leave")

    def again(self) -> str:
        """Take the last answer away and send what is left, as clients without a call for it do."""
        if self._messages[-1]["role"] == "assistant":
            self._messages.pop()
        return self._answered(str(self._call("again")["text"]))

    def _call(self, op: str) -> dict[str, Any]:
        return self._program.call(op, model=self._model, messages=self._messages)

    def _answered(self, text: str) -> str:
        self._messages.append({"role": "assistant", "content": text})
        return text


class ProgramClient:
    """A client whose tabs are programs of their own."""

    def __init__(self, start: Callable[[], AbstractContextManager[Child]]) -> None:
        self._start = start

    def models(self) -> Sequence[str]:
        with self._start() as program:
            return [str(name) for name in program.call("models")["models"]]

    @contextmanager
    def tab(self, model: str = "near-agent") -> Generator[Tab]:
        with self._start() as program:
            yield ProgramTab(program, model)

    def title(self, said: str, answered: str) -> str:
        with self.tab() as tab:
            return tab.say(TITLE_PROMPT.format(said=said, answered=answered))

    def structured(self, prompt: str, schema: JsonObject) -> JsonObject:
        with self._start() as program:
            return _OBJECT.validate_python(program.call("structured", prompt=prompt, schema=schema)["value"])


def python_program(name: str, python: str | Path = PYTHON) -> Callable[[Access], AbstractContextManager[Client]]:
    """Return what opens the client of `programs/NAME.py`."""
    return _opening((str(python), "-u", str(PROGRAMS / f"{name}.py")))


def node_program(name: str, *arguments: str) -> Callable[[Access], AbstractContextManager[Client]]:
    """Return what opens the client of `programs/NAME.mjs`."""
    return _opening(("node", str(INSTALLED / "programs" / f"{name}.mjs"), *arguments))


def _opening(command: Sequence[str]) -> Callable[[Access], AbstractContextManager[Client]]:
    @contextmanager
    def opened(access: Access) -> Generator[Client]:
        with TemporaryDirectory() as folder:
            yield ProgramClient(lambda: child(command, access, Path(folder)))

    return opened
