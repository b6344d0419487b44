"""curl: JSON and server-sent events on the command line."""

import json
import re
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import JsonValue, TypeAdapter

from contracts.types import JsonObject
from tests.clients.child_programs import TITLE_PROMPT
from tests.clients.seams import Access, Client, ClientFailedError, Tab
from tests.e2e.programs import LIMIT_S

_OBJECT = TypeAdapter(JsonObject)


def curl_command(access: Access, path: str, body: JsonValue = None) -> list[str]:
    authorization = f"Authorization: Bearer {access.key}"
    command = ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", str(LIMIT_S), "-H", authorization]
    if body is not None:
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return [*command, access.base_url + path]


def _curl(access: Access, path: str, body: JsonValue = None) -> dict[str, Any]:
    printed = subprocess.run(curl_command(access, path, body), capture_output=True, check=True).stdout
    answer = dict(_OBJECT.validate_json(printed))
    if "error" in answer:
        raise ClientFailedError(printed.decode())
    return answer


class CurlTab:
    def __init__(self, access: Access, model: str) -> None:
        self._access = access
        self._model = model
        self._messages: list[JsonValue] = []

    def say(self, text: str) -> str:
        self._messages.append({"role": "user", "content": text})
        answer = _curl(self._access, "/chat/completions", self._body(stream=False))
        return self._answered(answer["choices"][0]["message"]["content"])

    def stream(self, text: str) -> Sequence[str]:
        self._messages.append({"role": "user", "content": text})
        command = curl_command(self._access, "/chat/completions", self._body(stream=True))
        printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        *events, done = re.findall(r"^data: (.*)$", printed, re.MULTILINE)
        assert done == "[DONE]"
        deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
        pieces = [delta["content"] for delta in deltas if delta.get("content")]
        self._answered("".join(pieces))
        return pieces

    def leave(self, text: str) -> None:
        self._messages.append({"role": "user", "content": text})
        command = curl_command(self._access, "/chat/completions", self._body(stream=True))
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.terminate()

    def again(self) -> str:
        self._messages.pop()
        last = self._messages.pop()
        assert isinstance(last, dict)
        return self.say(str(last["content"]))

    def _body(self, *, stream: bool) -> JsonObject:
        return {"model": self._model, "messages": self._messages, "stream": stream}

    def _answered(self, text: str) -> str:
        self._messages.append({"role": "assistant", "content": text})
        return text


class Curl:
    def __init__(self, access: Access) -> None:
        self._access = access

    def models(self) -> Sequence[str]:
        return [model["id"] for model in _curl(self._access, "/models")["data"]]

    @contextmanager
    def tab(self, model: str = "near-agent") -> Generator[Tab]:
        yield CurlTab(self._access, model)

    def title(self, said: str, answered: str) -> str:
        with self.tab() as tab:
            return tab.say(TITLE_PROMPT.format(said=said, answered=answered))

    def structured(self, prompt: str, schema: JsonObject) -> JsonObject:
        asked: JsonObject = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        messages: list[JsonValue] = [{"role": "user", "content": prompt}]
        body: JsonObject = {"model": "near-agent", "messages": messages, "response_format": asked}
        answer = _curl(self._access, "/chat/completions", body)
        return _OBJECT.validate_json(answer["choices"][0]["message"]["content"])


@contextmanager
def open_curl(access: Access) -> Generator[Client]:
    yield Curl(access)
