"""OpenAI's chat fine-tuning lines: made from interactions, and checked the way providers check them."""

import json
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from contracts.catalogue.index import CATALOGUE
from contracts.json_lines import json_line
from training.data.interactions import Interaction
from training.errors import DatasetError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Function(_Strict):
    name: str
    arguments: str
    """A JSON object as text."""


class ToolCall(_Strict):
    id: str
    type: Literal["function"]
    function: Function


class Message(_Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, JsonValue]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    weight: Literal[0, 1] | None = None


class Line(_Strict):
    """One supervised example in OpenAI's chat format."""

    messages: list[Message] = Field(min_length=1)
    tools: list[dict[str, JsonValue]] | None = None
    parallel_tool_calls: bool | None = None


def chat_line(interaction: Interaction) -> dict[str, JsonValue]:
    """One line: the prompt as sent, the plan as tool calls, and the catalogue's tools."""
    calls: list[JsonValue] = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": action, "arguments": json.dumps(args, ensure_ascii=False, sort_keys=True)},
        }
        for number, (action, args) in enumerate(interaction.calls)
    ]
    answer: dict[str, JsonValue] = {"role": "assistant", "content": None, "tool_calls": calls}
    names = sorted(CATALOGUE)
    return {
        "messages": [*interaction.messages, answer],
        "tools": [CATALOGUE[name].tool_schema() for name in names],
        "parallel_tool_calls": True,
    }


def dump_lines(lines: Iterable[Mapping[str, JsonValue]]) -> bytes:
    """JSON lines in UTF-8, each ended by a newline."""
    return b"".join(f"{json_line(line)}\n".encode() for line in lines)


def check_lines(content: bytes, name: str) -> list[Line]:
    """The lines of a training file; DatasetError `invalid_training_file` naming the first line that is wrong and why."""
    lines: list[Line] = []
    for number, raw in enumerate(content.splitlines(), start=1):
        where = f"{name} line {number}"
        try:
            line = Line.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(str(part) for part in first["loc"])
            message = f"{where}: {path + ': ' if path else ''}{first['msg']}"
            raise DatasetError("invalid_training_file", message) from error
        if line.messages[-1].role != "assistant":
            raise DatasetError("invalid_training_file", f"{where}: the last message is not the assistant's")
        lines.append(line)
    return lines
