"""The running daemon as the command line sees it: its HTTP API through the standard library, which starts fast."""

import http.client
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from agent.commands.exits import FAILED, UNREACHABLE, USAGE, CommandError
from agent.commands.streamed import Began, Streamed, read_stream
from agent.data_folder import API_KEY, OPERATOR_KEY, DaemonAddress, read_key

_ANSWER_LIMIT_S: Final = 900.0
"""The daemon ends a request earlier, by its own configuration."""
_OK: Final = 200
_USAGE_STATUS: Final = frozenset({400, 404, 405, 409, 413})


class DaemonSession:
    """A conversation with the daemon of a data folder, as its first client and as its operator."""

    def __init__(self, folder: Path, address: DaemonAddress) -> None:
        self._folder = folder
        self._address = address
        self.network = address.network

    def complete(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> dict[str, Any]:
        """A chat completion's answer. CommandError where there is none."""
        headers = {"X-Near-Agent-Conversation": conversation_id} if conversation_id else {}
        body = {"model": model, "messages": messages}
        return self._call("POST", "/v1/chat/completions", API_KEY, body, headers)

    @property
    def goes_on(self) -> str:
        return f"in the daemon (process {self._address.pid})"

    def stream(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> Generator[Streamed]:
        headers = {"X-Near-Agent-Conversation": conversation_id} if conversation_id else {}
        body = {"model": model, "messages": messages, "stream": True}
        key = self._key(API_KEY)
        with self._sent("POST", "/v1/chat/completions", key, body, headers) as answer:
            if answer.status != _OK:
                _read(answer.status, answer.read())
            yield Began(answer.headers.get("x-request-id", ""))
            yield from read_stream(answer.readline)

    def names(self) -> dict[str, Any]:
        return self._call("GET", "/v1/near/names", OPERATOR_KEY, None, {})

    def approve(self, request_id: str) -> dict[str, Any]:
        return self._call("POST", "/v1/near/cards/approve", OPERATOR_KEY, {"request_id": request_id}, {})

    def drop(self, request_id: str) -> dict[str, Any]:
        return self._call("POST", "/v1/near/cards/drop", OPERATOR_KEY, {"request_id": request_id}, {})

    def approve_as(self, key: str, request_id: str) -> dict[str, Any]:
        return self._send("POST", "/v1/near/approvals", key, {"request_id": request_id}, {})

    def cards_as(self, key: str) -> dict[str, Any]:
        return self._send("GET", "/v1/near/approvals", key, None, {})

    def cards(self) -> dict[str, Any]:
        return self._call("GET", "/v1/near/cards", OPERATOR_KEY, None, {})

    def cancel_tx(self, what: str) -> dict[str, Any]:
        return self._call("POST", "/v1/near/transactions/cancel", OPERATOR_KEY, {"what": what}, {})

    def acknowledge_key(self, account_id: str, public_key: str) -> dict[str, Any]:
        body = {"account_id": account_id, "public_key": public_key}
        return self._call("POST", "/v1/near/lanes/acknowledge", OPERATOR_KEY, body, {})

    def rotate_key(self, account_id: str, public_key: str | None) -> dict[str, Any]:
        body = {"account_id": account_id, "public_key": public_key}
        return self._call("POST", "/v1/near/keys/rotate", OPERATOR_KEY, body, {})

    def create_key(self, account_id: str | None, may_confirm: bool | None) -> dict[str, Any]:
        body = {"account_id": account_id, "may_confirm": may_confirm}
        return self._call("POST", "/v1/near/api-keys", OPERATOR_KEY, body, {})

    def api_keys(self) -> dict[str, Any]:
        return self._call("GET", "/v1/near/api-keys", OPERATOR_KEY, None, {})

    def revoke_key(self, key_id: str) -> dict[str, Any]:
        return self._call("DELETE", f"/v1/near/api-keys/{quote(key_id, safe='')}", OPERATOR_KEY, None, {})

    def add_contract(self, account_id: str) -> dict[str, Any]:
        return self._call("POST", "/v1/near/contracts", OPERATOR_KEY, {"account_id": account_id}, {})

    def contracts(self) -> dict[str, Any]:
        return self._call("GET", "/v1/near/contracts", OPERATOR_KEY, None, {})

    def remove_contract(self, account_id: str) -> dict[str, Any]:
        return self._call("DELETE", f"/v1/near/contracts/{quote(account_id, safe='')}", OPERATOR_KEY, None, {})

    def _call(
        self, method: str, path: str, key_file: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        return self._send(method, path, self._key(key_file), body, headers)

    def _key(self, key_file: str) -> str:
        key = read_key(self._folder, key_file)
        if key is None:
            raise CommandError(
                f"{self._folder / key_file} is missing or empty; restart the daemon, which writes it", USAGE, "no_key"
            )
        return key

    def _send(
        self, method: str, path: str, key: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> dict[str, Any]:
        with self._sent(method, path, key, body, headers) as answer:
            status, text = answer.status, answer.read()
        return _read(status, text)

    @contextmanager
    def _sent(
        self, method: str, path: str, key: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Generator[http.client.HTTPResponse]:
        """The answer to a request, with its body still to be read; the connection is closed at the end."""
        where = urlsplit(self._address.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_ANSWER_LIMIT_S)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers},
            )
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(
                f"the daemon at {self._address.url} (process {self._address.pid}) did not answer: {error or 'it closed'}",
                UNREACHABLE,
                "no_daemon",
            ) from None
        finally:
            connection.close()


def _read(status: int, text: bytes) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        answer = {}
    if status == _OK:
        return answer
    error = answer.get("error") or {"code": "http_status", "message": f"the daemon answered with HTTP {status}"}
    exit_code = USAGE if status in _USAGE_STATUS else UNREACHABLE if status in {401, 403, 503} else FAILED
    raise CommandError(error["message"], exit_code, error["code"])
