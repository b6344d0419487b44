"""Where `ask`, `chat` and `approve` speak to: the running daemon of the data folder, else the pipeline in this process."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from agent.commands.settings import find_data_dir, read_config
from agent.commands.streamed import Streamed
from agent.data_folder import running_daemon

_WAIT_S: Final = 10.0
"""A daemon that is starting, or another command that is just finishing, is waited for."""


class Session(Protocol):
    """A place that answers, as the first client and as the operator. Errors: CommandError."""

    @property
    def network(self) -> str: ...

    def complete(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> dict[str, Any]:
        """A chat completion's answer with its `near_agent` part."""
        ...

    @property
    def goes_on(self) -> str:
        """Words for where a request runs on that nobody waits for any longer: `in the daemon`."""
        ...

    def stream(self, messages: list[dict[str, str]], conversation_id: str | None, model: str) -> Generator[Streamed]:
        """`complete` as it comes, the answer last. Closing it, or an interrupt in it, leaves the request running."""
        ...

    def names(self) -> dict[str, Any]:
        """Return the words that can be completed: `{actions, accounts, tokens, names}`."""
        ...

    def approve(self, request_id: str) -> dict[str, Any]:
        """The same, for the approval of a card by its request id."""
        ...

    def drop(self, request_id: str) -> dict[str, Any]:
        """Cancel the card of a request; the form of `complete`."""
        ...

    def cards(self) -> dict[str, Any]:
        """`{"cards": [...]}`, all that wait."""
        ...

    def approve_as(self, key: str, request_id: str) -> dict[str, Any]:
        """`approve` by the holder of an API key, instead of the operator."""
        ...

    def cards_as(self, key: str) -> dict[str, Any]:
        """`cards` that the holder of an API key may approve."""
        ...

    def cancel_tx(self, what: str) -> dict[str, Any]:
        """Fence what is open of a request or of a transaction hash; the form of `complete`."""
        ...

    def acknowledge_key(self, account_id: str, public_key: str) -> dict[str, Any]:
        """Unblock a key that something else has used."""
        ...

    def rotate_key(self, account_id: str, public_key: str | None) -> dict[str, Any]:
        """Replace a key of an account; the form of `complete`."""
        ...

    def create_key(self, account_id: str | None, may_confirm: bool | None) -> dict[str, Any]: ...

    def api_keys(self) -> dict[str, Any]: ...

    def revoke_key(self, key_id: str) -> dict[str, Any]: ...

    def add_contract(self, account_id: str) -> dict[str, Any]:
        """Make a contract's methods actions."""
        ...

    def contracts(self) -> dict[str, Any]: ...

    def remove_contract(self, account_id: str) -> dict[str, Any]: ...


@contextmanager
def open_session(config: Path | None, data_dir: Path | None) -> Generator[Session]:
    """The daemon where one runs on the data folder, else the same pipeline here, on no fixed port."""
    folder = find_data_dir(config, data_dir)
    address = running_daemon(folder, wait_s=_WAIT_S)
    if address is not None:
        from agent.commands.client import DaemonSession

        yield DaemonSession(folder, address)
        return
    settings = read_config(config, data_dir)
    from agent.commands.loading import loading

    with loading(settings):
        from agent.commands.in_process import open_in_process

    with open_in_process(settings) as session:
        yield session
