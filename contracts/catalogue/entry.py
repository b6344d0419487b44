"""What a catalogue entry is: one declaration per action, from which every form of it comes.

The tool schema for a model, the usage line, the help, the reading of arguments, the chain facts it needs and the pure
`build` from arguments and facts to calls. `needs`, `build` and `answer` touch no clock, socket or file.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from pydantic import JsonValue

from contracts.calls import ChangeCall, SetOff, ViewCall
from contracts.catalogue.arguments import (
    CALLER,
    Args,
    ArgumentKind,
    ArgumentValue,
    Parameter,
    parameters_of,
    read_argument,
)
from contracts.chain.outcome import Effect, Place, ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.exchange import DEFAULT_SWAP, PriceImpact, SwapSettings
from contracts.knowledge.facts import ChainFacts, FactRequest
from contracts.knowledge.inert import inert, quoted_json
from contracts.knowledge.limits import Limits
from contracts.knowledge.names import did_you_mean, nearest
from contracts.knowledge.registry import Network, Registry
from contracts.types import AccountId, JsonObject

ArgsT = TypeVar("ArgsT", bound=Args)

_SHOWN_NAME: Final = 60
_SHOWN_QUOTED: Final = 300


@dataclass(frozen=True, slots=True)
class BuildContext:
    """What `build` knows besides arguments and facts."""

    network: Network
    chain_id: str
    signer_id: AccountId
    registry: Registry
    limits: Limits
    default_sender: AccountId | None = None
    """For tx_status without a sender: who sent that hash by our own ledger."""
    swap: SwapSettings = DEFAULT_SWAP


@dataclass(frozen=True, slots=True)
class Built:
    """An action as calls. Its NEAR and token effects leave gas out."""

    calls: tuple[ViewCall | ChangeCall, ...]
    summary: str
    """One line for the card, in the imperative, with exact amounts and full ids."""
    expected: tuple[Effect, ...] = ()
    """What accounts gain or lose when it works, one effect per account and token. Of NEAR attached to a function call only
    the signer's side is told: what the contract keeps of it is its own affair.
    """
    expected_per_call: tuple[tuple[Effect, ...], ...] = ()
    """The same for each of the calls, where there are several and their effects are known apart."""
    sets_off: tuple[SetOff, ...] = ()
    """What the calls make others do, beyond their own bytes."""
    notes: tuple[str, ...] = ()
    """Further lines for the card: what is done besides, and what to look at before confirming."""
    price_impact: PriceImpact | None = None
    """Of a swap, which is the last of its calls."""


@dataclass(frozen=True, slots=True)
class Example:
    """Words of a person and the arguments they mean, on the embedded chain."""

    text: str
    args: JsonObject


def show_value(args: Args, returned: ViewReturned, facts: ChainFacts, context: BuildContext) -> str:
    """Any returned value, inert."""
    del args, facts, context
    return quoted_json(returned.value)


def explain_nothing(args: Args, error: RpcError, context: BuildContext) -> None:
    """No words better than the error's own."""
    del args, error, context


@dataclass(frozen=True, slots=True)
class Entry(Generic[ArgsT]):
    name: str
    kind: Literal["view", "change"]
    about: str
    args: type[ArgsT]
    build: Callable[[ArgsT, ChainFacts, BuildContext], Built]
    """Pure. InvalidInput where facts forbid it: unknown token, missing receiver, too precise an amount ..."""
    examples: tuple[Example, ...]
    needs: Callable[[ArgsT, BuildContext], tuple[FactRequest, ...]] = lambda _args, _context: ()
    """The facts that `build` and `answer` must be given."""
    further: Callable[[ArgsT, ChainFacts, BuildContext], tuple[FactRequest, ...]] = lambda _args, _facts, _context: ()
    """More of them, where only the first ones say which: the token that a proposal pays. Read at the same block."""
    answer: Callable[[ArgsT, ViewReturned, ChainFacts, BuildContext], str] = show_value
    """Plain words for what a view returned, amounts exact and text from outside inert."""
    explain: Callable[[ArgsT, RpcError, BuildContext], str | None] = explain_nothing
    """Plain words for a view that the node refused (no such account, no such method); None: use the error's message."""
    smaller: Callable[[ArgsT], ArgsT | None] = lambda _args: None
    """The same view of fewer things, for an answer that takes too much gas or is too long; None if there is no smaller one."""
    declared: tuple[Parameter, ...] | None = None
    """The arguments, where they are not the fields of `args`; `make` then turns their values into it."""
    make: Callable[[Mapping[str, ArgumentValue]], ArgsT] | None = None
    exclusive: tuple[str, ...] = ()
    """Arguments of which a call has one at most."""
    quoted: str = ""
    """What a contract's author says of the method: for people who ask for help, never for a model."""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The arguments in the catalogue's order, which is also the order of positional words."""
        return parameters_of(self.args) if self.declared is None else self.declared

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters if parameter.required)

    def parse(self, raw: Mapping[str, JsonValue], caller: AccountId, registry: Registry) -> ArgsT:
        """Arguments as written, read into exact values; null and empty text count as not given.

        InvalidInput `unknown_argument`, `missing_argument`, and what the kinds raise (`account_malformed`, `not_text` ...).
        """
        given = self.given(raw)
        missing = [name for name in self.required if name not in given]
        if missing:
            raise InvalidInput(
                "missing_argument",
                f"{self.name} needs {' and '.join(missing)}; usage: {self.usage()}",
                details={"action": self.name, "missing": list(missing)},
            )
        values = {
            parameter.name: read_argument(parameter, given[parameter.name], caller, registry)
            for parameter in self.parameters
            if parameter.name in given
        }
        return self.args(**values) if self.make is None else self.make(values)

    def given(self, raw: Mapping[str, JsonValue]) -> JsonObject:
        """The arguments that are really given, all of them known.

        InvalidInput `unknown_argument` with the nearest name, `exclusive_arguments` for two of which a call has one.
        """
        names = [parameter.name for parameter in self.parameters]
        for name in raw:
            if name not in names:
                raise InvalidInput(
                    "unknown_argument",
                    f"{self.name} has no argument {inert(name, _SHOWN_NAME)!r}{did_you_mean(name, names)} "
                    f"It takes: {', '.join(names)}",
                    details={"action": self.name, "argument": name[:_SHOWN_NAME], "nearest": nearest(name, names)},
                )
        found: JsonObject = {name: value for name, value in raw.items() if value is not None and value != ""}
        both = [name for name in self.exclusive if name in found]
        if len(both) > 1:
            raise InvalidInput(
                "exclusive_arguments",
                f"{self.name} takes {' or '.join(both)}, and both are given; leave one out, and name what follows it: "
                f"{self.usage()}, such as {self.parameters[-1].name}=...",
                details={"action": self.name, "argument": both[-1]},
            )
        return found

    def tool_schema(self) -> JsonObject:
        """An OpenAI function tool. Every value is text, except objects, lists and whole numbers."""
        properties: JsonObject = {parameter.name: _property(parameter) for parameter in self.parameters}
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.about,
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": list(self.required),
                    "additionalProperties": False,
                },
            },
        }

    def usage(self) -> str:
        """The slash command: `/ft_transfer token receiver_id amount [memo]`."""
        words = (item.name if item.required else f"[{item.name}]" for item in self.parameters)
        return " ".join((f"/{self.name}", *words))

    def help(self) -> str:
        """Usage, what it does, each argument, an example."""
        lines = [self.usage(), f"  {self.about} ({self.kind})"]
        lines += [
            f"  {item.name}: {_description(item)}{'' if item.required else ' (may be left out)'}"
            for item in self.parameters
        ]
        lines += [f"  Example: {slash(self.name, example.args)}" for example in self.examples]
        if self.quoted:
            lines.append(f"  its author says, and nobody checked: “{inert(self.quoted, _SHOWN_QUOTED)}”")
        return "\n".join(lines)

    def slash(self, args: JsonObject) -> str:
        return slash(self.name, args)


AnyEntry: TypeAlias = Entry[Any]

_JSON_TYPES: Final[Mapping[ArgumentKind, JsonObject]] = {
    "object": {"anyOf": [{"type": "object"}, {"type": "array", "items": {}}]},
    "list[string]": {"type": "array", "items": {"type": "string"}},
    "int": {"type": "integer"},
}
"""Of the kinds that are not text."""
_ABOUT_KINDS: Final[Mapping[ArgumentKind, str]] = {
    "account_id": f"account id, or {CALLER} for the caller",
    "token": "token symbol or contract id",
    "amount": "decimal amount in human units, as a string",
    "string": "text",
    "amount_or_all": "decimal amount in human units, as a string, or all",
    "decimal": "decimal number, as a string",
    "list[string]": "list of texts",
    "int": "whole number",
    "json": "JSON, as a string",
    "object": "JSON object, or an array by position",
    "public_key": "public key, ed25519:... or secp256k1:...",
    "tgas": "Tgas, as a string",
    "tx_hash": "transaction hash",
}


def slash(action: str, args: JsonObject) -> str:
    """An action with its arguments as a slash command of `key=value` words."""
    return " ".join((f"/{action}", *(f"{name}={_word(value)}" for name, value in args.items())))


def merge_effects(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """One effect per account, token and NFT, in order of first mention; those that cancel out are left away."""
    sums: dict[Place, int] = {}
    least: set[Place] = set()
    for effect in effects:
        sums[effect.place] = sums.get(effect.place, 0) + effect.change
        if effect.at_least:
            least.add(effect.place)
    return tuple(
        Effect(place[0], place[1], change, place in least, place[2]) for place, change in sums.items() if change
    )


def _property(parameter: Parameter) -> JsonObject:
    schema: JsonObject = {**_JSON_TYPES.get(parameter.kind, {"type": "string"}), "description": _description(parameter)}
    return {**schema, "enum": list(parameter.choices)} if parameter.choices else schema


def _description(parameter: Parameter) -> str:
    kind = _ABOUT_KINDS[parameter.kind]
    return f"{parameter.about}; {kind}" if parameter.about and parameter.about != kind else kind


def _word(value: JsonValue) -> str:
    if isinstance(value, str):
        return shlex.quote(value)
    return shlex.quote(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
