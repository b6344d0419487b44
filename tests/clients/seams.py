"""The seam between the cells of the matrix and the clients that are tried in them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

from contracts.types import JsonObject
from tests.e2e.programs import RunningDaemon

Cell: TypeAlias = Literal[
    "models",
    "view",
    "change with approval",
    "streaming",
    "error",
    "cancel",
    "regenerate",
    "two tabs",
    "title prompt",
    "structured output",
]
CELLS: tuple[Cell, ...] = get_args(Cell)


class ClientFailedError(Exception):
    """An error, in the words that the client shows to a person."""


class Tab(Protocol):
    """One conversation that a person has open in a client. ClientFailedError if the client shows an error."""

    def say(self, text: str) -> str:
        """Return the answer as the client shows it, whole."""
        ...

    def stream(self, text: str) -> Sequence[str]:
        """Return the answer in the pieces in which it arrived."""
        ...

    def leave(self, text: str) -> None:
        """Send the text and stop the answer as the client does, at its first sign of life or before."""
        ...

    def again(self) -> str:
        """Return another answer to the last message, asked for by the client's own means (regenerate, retry, edit)."""
        ...


class Client(Protocol):
    """A client that is set up with the daemon's address and a key of its own."""

    def models(self) -> Sequence[str]: ...

    def tab(self, model: str = "near-agent") -> AbstractContextManager[Tab]:
        """Open a conversation that shares nothing with the others but the key."""
        ...

    def title(self, said: str, answered: str) -> str:
        """Return the client's title for a conversation of one turn, asked for from the daemon as the client does."""
        ...

    def structured(self, prompt: str, schema: JsonObject) -> JsonObject:
        """Return the object that the client's way to structured output makes of the answer."""
        ...


@dataclass(frozen=True)
class Access:
    """The settings of a client."""

    running: RunningDaemon
    key: str
    """An API key of this client alone, for alice.localnet."""

    @property
    def base_url(self) -> str:
        return f"{self.running.url}/v1"


@dataclass(frozen=True)
class Row:
    """A client of the matrix."""

    name: str
    open: Callable[[Access], AbstractContextManager[Client]]
    cannot: Mapping[Cell, str]
    """The cells that the client has no means for, each with the reason."""
