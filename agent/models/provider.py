"""The seam to a model: a prompt in, one exchange out. A failure of the endpoint is a value in the exchange."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agent.preamble import Preamble
from agent.records import ModelExchange
from contracts.types import JsonObject

Target: TypeAlias = Literal["standard", "specialist"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model named; `arguments` is the text it wrote, unread."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One exchange, and what of the answer matters to a plan."""

    exchange: ModelExchange
    text: str
    tool_calls: tuple[ToolCall, ...]
    refusal: str | None = None

    @property
    def error(self) -> str | None:
        """`code: what happened` where the endpoint gave no usable answer."""
        return self.exchange.error


class ModelProvider(Protocol):
    """One model at one endpoint."""

    @property
    def target(self) -> Target: ...

    @property
    def model(self) -> str: ...

    async def complete(self, preamble: Preamble, messages: Sequence[JsonObject]) -> ModelAnswer:
        """Ask once, the provider's own finite retries included. Never raises for what the endpoint does.

        The prompt is the preamble's system message, then `messages`; its tools are offered.
        """
        ...


class Serving(Protocol):
    """Which models serve at this moment."""

    def standard(self) -> ModelProvider | None: ...

    def specialist(self) -> ModelProvider | None: ...
