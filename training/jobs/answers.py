"""A fine-tuning server's answers, parsed into values that can be kept, printed and put into a URL.

Servers differ, and some are hostile: whatever a field holds, either a value comes out or a ProviderError `bad_answer` that
names the field. Unknown fields are ignored.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from contracts.knowledge.inert import inert
from training.errors import ProviderError

UNKNOWN: Final = "unknown"
"""The status of a job whose server names none. It counts as still alive, like every status that does not end a job."""
MAX_WORDS: Final = 500
"""Characters of a server's words that are kept."""

_STATUS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,39}")
_LAST_SECOND: Final = 2**33
"""Later ones have no date on every platform."""


def _status(value: JsonValue) -> str:
    return value if isinstance(value, str) and _STATUS.fullmatch(value) else UNKNOWN


def _words(value: JsonValue) -> str | None:
    return inert(value, MAX_WORDS) if isinstance(value, str) and value else None


def _reason(value: JsonValue) -> str | None:
    """The reason why a job failed: OpenAI's `{"message": ...}`, or bare text."""
    return _words(value.get("message") if isinstance(value, dict) else value)


def _second(value: JsonValue) -> int:
    return value if isinstance(value, int) and 0 <= value < _LAST_SECOND else 0


def _labels(value: JsonValue) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,199}$")]
Status = Annotated[str, BeforeValidator(_status)]
Words = Annotated[str | None, BeforeValidator(_words)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Uploaded(_Answer):
    """A file on the server."""

    id: Id
    filename: str | None = None


class Job(_Answer):
    id: Id
    status: Status = UNKNOWN
    fine_tuned_model: ModelName | None = None
    error: Annotated[str | None, BeforeValidator(_reason)] = None
    """The reason why it failed, inert."""
    metadata: Annotated[dict[str, str], BeforeValidator(_labels)] = {}


class Event(_Answer):
    id: str
    created_at: Annotated[int, BeforeValidator(_second)] = 0
    """Unix seconds; 0 if the server names no usable time."""
    level: Words = None
    message: Words = None


class Page(_Answer):
    """A page of a list. Its items are parsed one by one."""

    data: Sequence[JsonValue] | None = None
    has_more: bool | None = None


class Keyed(_Answer):
    id: str = Field(min_length=1, max_length=200)


AnswerT = TypeVar("AnswerT", bound=_Answer)


def parse(answer: type[AnswerT], value: JsonValue, doing: str) -> AnswerT:
    """The typed answer; ProviderError `bad_answer`. `doing` says in its message what was asked for."""
    try:
        return answer.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = inert(".".join(map(str, first["loc"])) or "answer", 80)
        raise ProviderError(
            "bad_answer",
            f"{doing}: the server's answer cannot be used ({field}: {first['msg'][:120]}); "
            "is [training] base_url a server with OpenAI's fine-tuning routes?",
        ) from None
