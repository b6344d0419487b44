"""Clients as child programs, in Python or in JavaScript: a JSON object a line in, one a line out.

    {"op": "models"}                                     -> {"models": ["..."]}
    {"op": "ask", "model": "...", "messages": [...]}     -> {"text": "..."}
    {"op": "stream", "model": "...", "messages": [...]}  -> {"pieces": ["..."]}
    {"op": "leave", "model": "...", "messages": [...]}   -> {}
    {"op": "title", "said": "...", "answered": "..."}    -> {"text": "..."}
    {"op": "structured", "prompt": "...", "schema": {}}  -> {"value": {}}

The first line is `{"base_url": "...", "key": "..."}`. What the client shows as an error is {"error": "..."}. A program whose
client keeps the conversation itself reads the last message only; `{"op": "again"}` has it answered again.
"""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import JsonValue, TypeAdapter

from contracts.types import JsonObject
from tests.clients.seams import Access, Client, ClientFailedError, Tab
from tests.e2e.programs import LIMIT_S

PROGRAMS = Path(__file__).parent / "programs"
INSTALLED = Path(__file__).parents[2] / "build" / "clients"
"""The clients, as `make clients` installs them."""
PYTHON = INSTALLED / "venv" / "bin" / "python"
OPEN_WEBUI = INSTALLED / "open-webui" / "bin" / "python"
"""Open WebUI's own environment: its pinned requirements fit no other client."""
_OBJECT = TypeAdapter(JsonObject)

TITLE_PROMPT = (
    "Write a short title for this conversation, in its language.\n\n"
    "User: {said}\nAI: {answered}\n\nReply with the title and nothing else."
)
"""As clients without a title call of their own have it written by the model, in one user message."""


class Child:
    """A running program."""

    def __init__(self, process: "subprocess.Popen[str]", base_url: str, key: str) -> None:
        self._process = process
        self._write({"base_url": base_url, "key": key})

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
def program(
    command: Sequence[str], folder: Path, *, answers: bool = True, **more: str
) -> Generator["subprocess.Popen[str]"]:
    """Run a program with a home of its own until the block ends; what it prints as errors is in a log.

    Not `answers`: what it prints otherwise is there too. Nobody would read it from a pipe, and a full one stops the program.
    """
    environment = {**os.environ, "HOME": str(folder), "PYTHONWARNINGS": "ignore", **more}
    with (
        (INSTALLED / "programs.log").open("a") as log,
        subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if answers else log,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


class ProgramTab:
    """A conversation whose history is sent with every message, unless the client keeps it."""

    def __init__(self, child: Child, model: str) -> None:
        self._child = child
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
        return self._child.call(op, model=self._model, messages=self._messages)

    def _answered(self, text: str) -> str:
        self._messages.append({"role": "assistant", "content": text})
        return text


class ProgramClient:
    """A client whose tabs are programs of their own."""

    def __init__(self, command: Sequence[str], folder: Path, base_url: str, key: str, *, titles: bool = False) -> None:
        self._command = command
        self._folder = folder
        self._base_url = base_url
        self._key = key
        self._titles = titles

    @contextmanager
    def _started(self) -> Generator[Child]:
        with program(self._command, self._folder) as process:
            yield Child(process, self._base_url, self._key)

    def models(self) -> Sequence[str]:
        with self._started() as child:
            return [str(name) for name in child.call("models")["models"]]

    @contextmanager
    def tab(self, model: str = "near-agent") -> Generator[Tab]:
        with self._started() as child:
            yield ProgramTab(child, model)

    def title(self, said: str, answered: str) -> str:
        if self._titles:
            with self._started() as child:
                return str(child.call("title", said=said, answered=answered)["text"])
        with self.tab() as tab:
            return tab.say(TITLE_PROMPT.format(said=said, answered=answered))

    def structured(self, prompt: str, schema: JsonObject) -> JsonObject:
        with self._started() as child:
            return _OBJECT.validate_python(child.call("structured", prompt=prompt, schema=schema)["value"])


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
            yield ProgramClient(command, Path(folder), access.base_url, access.key)

    return opened


def served_program(
    app: Sequence[str], tab: str, *, titles: bool = False
) -> Callable[[Access], AbstractContextManager[Client]]:
    """Return what serves an app, given `{port}` in its command, whose pages are opened by `programs/TAB.py`.

    `titles` if the app has titles of its own, which the program answers for.
    """

    @contextmanager
    def opened(access: Access) -> Generator[Client]:
        port = str(_free_port())
        command = [part.format(port=port) for part in app]
        environment = {"DAEMON_URL": access.base_url, "DAEMON_KEY": access.key, "PORT": port}
        url = f"http://127.0.0.1:{port}"
        with TemporaryDirectory() as folder, program(command, Path(folder), answers=False, **environment) as process:
            _wait_until_served(url, process)
            command = (str(PYTHON), "-u", str(PROGRAMS / f"{tab}.py"))
            yield ProgramClient(command, Path(folder), url, "", titles=titles)

    return opened


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _wait_until_served(url: str, process: "subprocess.Popen[str]") -> None:
    for _ in range(round(LIMIT_S / 0.1)):
        assert process.poll() is None, f"the app ended with {process.returncode}; see {INSTALLED / 'programs.log'}"
        try:
            urllib.request.urlopen(url).close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
