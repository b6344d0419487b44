"""The agent's own part of a prompt, and how the database keeps it: once, by its hash.

A prompt is a preamble, the same for everybody, and then the messages of one request. A stored exchange names its preamble by
digest and holds the messages alone.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from pydantic import ConfigDict, JsonValue, RootModel, TypeAdapter

from contracts.types import JsonObject


class Tools(RootModel[tuple[dict[str, JsonValue], ...]]):
    """The function tools that a model is offered. Checked once: a value that is given an instance takes it as it is."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, slots=True, eq=False)
class Preamble:
    """The system message and the tools of every prompt. Nothing that a person or a front end wrote is in it.

    Made once for a catalogue and then passed on, so that what is derived from it can be kept by identity.
    """

    system: str
    tools: Tools

    @property
    def message(self) -> JsonObject:
        """The system message as it is sent."""
        return {"role": "system", "content": self.system}


PreambleTexts: TypeAlias = Callable[[str], str | None]
"""Looks the stored text of a preamble up by its digest; None for one that the database does not have."""


def digest_of(text: str) -> str:
    """Return the sha256 (hex) of a preamble's stored text.

    It is taken over the text itself and not over a form with sorted keys, because tools have to come back byte for byte.
    """
    return hashlib.sha256(text.encode()).hexdigest()


def read_preamble(digest: str, texts: PreambleTexts) -> Preamble:
    """Return the preamble that a record names. ValueError if it is missing or is not what its digest says."""
    text = texts(digest)
    if text is None:
        raise ValueError(f"the record's preamble {digest} is not in the database")
    if digest_of(text) != digest:
        raise ValueError(f"the record's preamble {digest} is damaged: its text has another hash")
    system, tools = _STORED.validate_json(text)
    return Preamble(system, tools)


_STORED: Final[TypeAdapter[tuple[str, Tools]]] = TypeAdapter(tuple[str, Tools])
"""JSON `[system, tools]`, redacted."""
