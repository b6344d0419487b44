"""From words to a plan: slash commands read directly, free text through a model whose answer is data.

A model names catalogue actions by tool calls; what it wrote is read strictly, checked, and each value of a change traced
to its source. Wrong calls are shown the validator's message once; after that, and for a value that nobody said, the plan is
a question to the person.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from agent.answers import sentence
from agent.models.provider import ModelAnswer, ModelProvider, ToolCall
from agent.planning import prompts
from agent.planning.asking import asking
from agent.planning.conversations import mask_cards, own_words
from agent.planning.provenance import Unsourced, ValueKind, canonical_number, trace
from agent.planning.readings import other_reading
from agent.planning.slash import SlashHelp, command_list, parse_slash
from agent.preamble import Preamble, Tools
from agent.records import (
    Answer,
    CallPlan,
    Clarification,
    ModelExchange,
    Plan,
    PlannedCall,
    Refusal,
    Source,
    UserRequest,
)
from agent.redaction.texts import holds_secret
from contracts.catalogue.arguments import (
    ArgumentKind,
    Parameter,
    read_account,
    read_argument,
    read_call_arguments,
    read_json,
    read_object,
    read_text,
    read_text_list,
)
from contracts.catalogue.entry import AnyEntry
from contracts.errors import InvalidInput
from contracts.knowledge.address_book import NO_NAMES, AddressBook
from contracts.knowledge.inert import inert, inert_lines
from contracts.knowledge.names import did_you_mean
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, JsonObject

MAX_CALLS: Final = 8
MAX_ARGUMENT_CHARACTERS: Final = 65_536
MAX_ANSWER_CHARACTERS: Final = 4000

VALUE_KINDS: Final[Mapping[ArgumentKind, ValueKind]] = {
    "account_id": "account",
    "token": "token",
    "amount": "amount",
    "tgas": "amount",
    "amount_or_all": "amount",
    "decimal": "percent",
    "int": "index",
    "json": "text",
    "public_key": "text",
    "tx_hash": "account",
    "list[string]": "name",
    "object": "text",
    "string": "text",
}
_BY_NAME: Final[Mapping[str, ValueKind]] = {"method_name": "name", "args_base64": "bytes"}
_CHANGE_WORDS = re.compile(
    r"(?i)\b(send|transfer|pay|give|tip|move|swap|exchange|buy|sell|stake|unstake|withdraw|deposit|wrap|unwrap|mint|burn|"
    r"create|delete|register|approve|revoke|vote|propose|add|remove|call|increment|decrement|reset|sign|deploy)\w*"
)
_CLAIMS = re.compile(
    r"(?i)\b(sent|transferred|executed|completed|confirmed|wrapped|staked|deposited|done)\b|\btransaction hash\b"
)
_TO_SOMEONE = re.compile(r"(?s)(?=.*\d)(?=.*\w\.\w)")


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning came to; `failure` is set where the endpoint gave no usable answer, and then there is no plan."""

    plan: Plan | None
    exchanges: tuple[ModelExchange, ...] = ()
    failure: str | None = None
    preamble: Preamble | None = None
    """With which the exchanges' prompts begin."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A model's calls, read: either all are good, or `problems` has one text per call (empty for a good one)."""

    calls: tuple[PlannedCall, ...]
    problems: tuple[str, ...]
    missing: tuple[str, ...]
    """Argument names that the first problem is about."""


class Planner:
    """Holds what a plan is checked against. `text_only` is the form of `/v1/near/plan`: no token is looked up."""

    def __init__(
        self, catalogue: Mapping[str, AnyEntry], registry: Registry, address_book: AddressBook = NO_NAMES
    ) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._book = address_book
        self._offered: tuple[AnyEntry, ...] = ()
        self._preamble = Preamble(prompts.SYSTEM, Tools(()))

    def commands(self) -> str:
        return command_list(self._catalogue)

    def plan_slash(self, request: UserRequest, *, text_only: bool) -> Plan:
        """The plan of a slash command: one call, a question for what is missing, or a refusal with the nearest name."""
        try:
            command = parse_slash(request.text, self._catalogue)
            if isinstance(command, SlashHelp):
                return Answer(text=self._help(command.topic))
            entry = self._catalogue[command.action]
            args, names = self._named(entry, plan_arguments(entry, command.args, lower_case=text_only))
            self._check(entry, args, request, text_only=text_only)
        except InvalidInput as error:
            if holds_secret(request.text):  # what is wrong with a word repeats it, and half a key is no key's shape
                return Refusal(text=prompts.SECRETS_STAY, why="secret_in_plan")
            return question_or_refusal(error)
        sources = {name: Source(kind="slash") for name in args}
        sources |= {name: Source(kind="address_book", written=written) for name, written in names.items()}
        return call_plan((PlannedCall(action=entry.name, args=args, sources=sources),))

    async def plan_words(
        self, request: UserRequest, provider: ModelProvider, *, text_only: bool, repair: bool = True
    ) -> Planned:
        """The plan of free text by a model. `request` is masked."""
        messages = prompts.planning_messages(request)
        preamble = self._current_preamble()
        answer = await provider.complete(preamble, messages)
        exchanges = (answer.exchange,)
        if answer.error:
            return Planned(None, exchanges, answer.error, preamble)
        if not answer.tool_calls:
            return Planned(_spoken(request, answer, ()), exchanges, preamble=preamble)
        reading = self._read(request, answer.tool_calls, text_only=text_only)
        if any(reading.problems) and repair:
            told = [prompts.problem_text(p) if p else prompts.ACCEPTED for p in reading.problems]
            second = await provider.complete(preamble, [*messages, *prompts.repair_messages(answer, told)])
            exchanges = (*exchanges, second.exchange)
            if second.error:
                return Planned(None, exchanges, second.error, preamble)
            if not second.tool_calls:
                plan = _spoken(request, second, reading.missing or ("intent",))
                return Planned(plan, exchanges, preamble=preamble)
            reading = self._read(request, second.tool_calls, text_only=text_only)
        return Planned(self._conclude(request, reading), exchanges, preamble=preamble)

    def _current_preamble(self) -> Preamble:
        """The system message and the catalogue's tools; made again only when the catalogue has grown or shrunk."""
        entries = tuple(self._catalogue.values())
        if entries != self._offered:
            tools = Tools(tuple(entry.tool_schema() for entry in entries))
            self._offered, self._preamble = entries, Preamble(prompts.SYSTEM, tools)
        return self._preamble

    def _help(self, topic: str | None) -> str:
        if topic is None or topic == "help":
            return prompts.help_text(self.commands())
        return self._catalogue[topic].help()

    def _read(self, request: UserRequest, tool_calls: Sequence[ToolCall], *, text_only: bool) -> _Reading:
        calls: list[PlannedCall] = []
        problems: list[str] = []
        missing: tuple[str, ...] = ()
        for place, tool_call in enumerate(tool_calls):
            try:
                calls.append(self._read_call(request, tool_call, place, text_only=text_only))
            except InvalidInput as error:
                problems.append(error.message)
                missing = missing or missing_of(error)
            else:
                problems.append("")
        return _Reading(tuple(calls), tuple(problems), missing)

    def _read_call(self, request: UserRequest, tool_call: ToolCall, place: int, *, text_only: bool) -> PlannedCall:
        if place >= MAX_CALLS:
            raise InvalidInput("too_many_calls", f"a plan has at most {MAX_CALLS} calls")
        entry = self._catalogue.get(tool_call.name)
        if entry is None:
            raise InvalidInput(
                "unknown_action",
                f"there is no function {inert(tool_call.name, 60)!r}{did_you_mean(tool_call.name, self._catalogue)}",
            )
        if len(tool_call.arguments) > MAX_ARGUMENT_CHARACTERS:
            raise InvalidInput("too_long", f"the arguments of {entry.name} are longer than {MAX_ARGUMENT_CHARACTERS}")
        raw = read_object(f"the arguments of {entry.name}", tool_call.arguments or "{}", numbers=True)
        args, _ = self._named(entry, plan_arguments(entry, raw, lower_case=True))
        self._check(entry, args, request, text_only=text_only)
        return PlannedCall(action=entry.name, args=args)

    def _conclude(self, request: UserRequest, reading: _Reading) -> Plan:
        problem = next((problem for problem in reading.problems if problem), None)
        if problem:
            text = f"I could not turn that into a valid call: {sentence(problem)} Please say it in other words."
            return Clarification(text=text, missing=reading.missing or ("intent",))
        words = own_words(request)
        calls: list[PlannedCall] = []
        invented: list[Unsourced] = []
        for call in reading.calls:
            entry = self._catalogue[call.action]
            sources, unsourced = trace(
                call.action,
                call.args,
                _value_kinds(entry),
                words,
                caller=request.identity.account_id,
                registry=self._registry,
                book=self._book,
            )
            calls.append(call.model_copy(update={"sources": sources}))
            invented += unsourced if entry.kind == "change" else ()
        if invented:
            if asking(request.text) == "asks_nothing":
                return Clarification(text=prompts.ASKS_NOTHING, missing=("intent",))
            return _ask_for(invented)
        return _ask_twice(calls, self._catalogue, self._registry) or call_plan(tuple(calls))

    def other_reading(self, request: UserRequest, plan: CallPlan) -> str | None:
        """Return why a model's plan may be another one than the words meant; None if they have one reading."""
        changes = [call for call in plan.calls if self._catalogue[call.action].kind == "change"]
        if not changes:
            return None
        return other_reading(
            changes,
            _value_kinds(self._catalogue[changes[0].action]),
            own_words(request),
            caller=request.identity.account_id,
            registry=self._registry,
            book=self._book,
        )

    def _named(self, entry: AnyEntry, args: JsonObject) -> tuple[JsonObject, dict[str, str]]:
        """The arguments with accounts in place of their names in the address book, and by which name each was written.

        InvalidInput `ambiguous_name` for a name that is a token's symbol too, where either could be meant.
        """
        named, written = dict(args), dict[str, str]()
        for parameter in entry.parameters:
            value = args.get(parameter.name)
            found = self._book.named(value) if isinstance(value, str) and parameter.kind == "account_id" else None
            if found is None or not isinstance(value, str):
                continue
            token = self._registry.by_symbol.get(value.casefold()) if parameter.symbols else None
            if token is not None:
                raise InvalidInput(
                    "ambiguous_name",
                    f"{parameter.name} {value!r} is {found.account_id} in the address book and the token "
                    f"{token.contract_id}; write the account's id",
                    details={"argument": parameter.name, "readings": [found.account_id, token.contract_id]},
                )
            named[parameter.name], written[parameter.name] = str(found.account_id), value
        return named, written

    def _check(self, entry: AnyEntry, args: JsonObject, request: UserRequest, *, text_only: bool) -> None:
        """InvalidInput where the arguments cannot become a call."""
        caller = AccountId(request.identity.account_id)
        if not text_only:
            entry.parse(args, caller, self._registry)
            return
        missing = [name for name in entry.required if name not in args]
        if missing:
            raise InvalidInput(
                "missing_argument",
                f"{entry.name} needs {' and '.join(missing)}; usage: {entry.usage()}",
                details={"missing": list(missing)},
            )
        for parameter in entry.parameters:
            # Tokens, and accounts that may be written as a symbol, stay as written: nothing is looked up here.
            if parameter.name not in args or parameter.kind == "token" or parameter.symbols:
                continue
            if parameter.kind == "account_id":
                read_account(str(args[parameter.name]), caller, self._registry)
            else:
                read_argument(parameter, args[parameter.name], caller, self._registry)


def plan_arguments(entry: AnyEntry, raw: Mapping[str, object], *, lower_case: bool) -> JsonObject:
    """The form that plans and records keep: texts as written, objects as JSON; with `lower_case`, ids in lower case.

    Only ASCII letters are lowered: a sign from elsewhere that lowers to a Latin letter would be another account's name.
    """
    given = entry.given(cast("JsonObject", raw))
    args: JsonObject = {}
    for parameter in entry.parameters:
        if parameter.name not in given:
            continue
        value = given[parameter.name]
        if parameter.kind == "object":
            args[parameter.name] = read_call_arguments(parameter.name, value)
            continue
        if parameter.kind == "json":
            args[parameter.name] = read_json(parameter.name, value)
            continue
        if parameter.kind == "list[string]":
            args[parameter.name] = list(read_text_list(parameter.name, value))
            continue
        text = read_text(parameter, value)
        # What may be a token's symbol stays as it was written.
        may_be_symbol = parameter.kind == "token" or parameter.symbols
        is_id = parameter.kind in {"account_id", "token"} and ("." in text or not may_be_symbol)
        args[parameter.name] = _lower(text) if lower_case and is_id else text
    return args


def call_plan(calls: tuple[PlannedCall, ...]) -> CallPlan:
    """The plan of these calls with its hash."""
    plain = [{"action": call.action, "args": call.args} for call in calls]
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return CallPlan(calls=calls, plan_hash=hashlib.sha256(canonical.encode()).hexdigest())


def question_or_refusal(error: InvalidInput) -> Clarification | Refusal:
    """What is missing or can be read in two ways is asked; what is wrong is refused with what would be right."""
    if error.code == "missing_argument" or "readings" in error.details:
        return Clarification(text=sentence(error.message), missing=missing_of(error))
    return Refusal(text=sentence(error.message), why=error.code)


def missing_of(error: InvalidInput) -> tuple[str, ...]:
    missing = error.details.get("missing")
    if isinstance(missing, list):
        return tuple(str(name) for name in missing)
    argument = error.details.get("argument")
    return (argument,) if isinstance(argument, str) else ()


def _value_kinds(entry: AnyEntry) -> dict[str, ValueKind]:
    return {parameter.name: _value_kind(parameter) for parameter in entry.parameters}


def _value_kind(parameter: Parameter) -> ValueKind:
    if parameter.symbols or parameter.name == "contract_id":
        return "contract"
    by_name = _BY_NAME.get(parameter.name)
    return VALUE_KINDS[parameter.kind] if by_name is None else by_name


def _lower(text: str) -> str:
    # A mixed-case 0x id carries its checksum in its capitals; reading it checks them and lowers it.
    if text.startswith("0x") and len(text) == 42:
        return text
    return "".join(character.lower() if character.isascii() else character for character in text)


def _ask_for(invented: Sequence[Unsourced]) -> Clarification:
    named = "; ".join(f"{item.argument} {inert(item.value, 80)!r} of {item.action}" for item in invented)
    return Clarification(
        text=f"I did not find this in your own words: {named}. Nothing was prepared. Please write it yourself: account ids "
        "in full, amounts in digits with their unit, for example 5 NEAR.",
        missing=tuple(dict.fromkeys(item.argument for item in invented)),
    )


def _ask_twice(
    calls: Sequence[PlannedCall], catalogue: Mapping[str, AnyEntry], registry: Registry
) -> Clarification | None:
    """A question if the same change stands in a plan more than once: nobody's words say whether that was meant."""
    seen: list[tuple[str, JsonObject]] = []
    for call in calls:
        entry = catalogue[call.action]
        meant = (call.action, _meant(entry, call.args, registry))
        if entry.kind == "change" and meant in seen:
            command = inert(entry.slash(call.args), 300)
            text = f"The same would be done more than once: {command}. Nothing was prepared. Please ask for each by itself."
            return Clarification(text=text, missing=("intent",))
        seen.append(meant)
    return None


def _meant(entry: AnyEntry, args: JsonObject, registry: Registry) -> JsonObject:
    """The arguments with one form for each number and each token, so that `5.0 usdc` is the same as `5 USDC`."""
    meant = dict(args)
    for parameter in entry.parameters:
        value = args.get(parameter.name)
        if not isinstance(value, str):
            continue
        if VALUE_KINDS[parameter.kind] in {"amount", "percent", "index"}:
            meant[parameter.name] = canonical_number(value)
        elif parameter.kind == "token" or parameter.symbols:
            token = registry.by_symbol.get(value.casefold()) or registry.of_contract(value)
            meant[parameter.name] = value.casefold() if token is None else str(token.contract_id)
    return meant


def _spoken(request: UserRequest, answer: ModelAnswer, missing: tuple[str, ...]) -> Plan:
    """A model's plain text: an answer where only talk was asked for, a question where something was to be done."""
    if answer.refusal:
        return Refusal(text=_shown(answer.refusal), why="model_refused")
    said = _shown(answer.text)
    if not said:
        return Clarification(text="I did not understand that. Please say it in other words.", missing=("intent",))
    asked = _CHANGE_WORDS.search(request.text) or _TO_SOMEONE.match(request.text)
    if _CLAIMS.search(said):
        return Clarification(
            text=f"Nothing was prepared or sent. The model said: {said}", missing=missing or ("intent",)
        )
    if missing or asked or said.endswith("?"):
        return Clarification(text=said, missing=missing or ("intent",))
    return Answer(text=said)


def _shown(text: str) -> str:
    """A model's words, without links and images: an address in them would carry what is known here to somebody.

    Its bold words, code spans and headings become plain text, of which answers are made.
    """
    bare = _MODELS_MARKUP.sub(lambda found: found[1] or found[2] or "", text.strip())
    return inert_lines(mask_cards(bare), MAX_ANSWER_CHARACTERS)


_MODELS_MARKUP: Final = re.compile(r"\*\*(?! )([^*\n]+)(?<! )\*\*|`([^`\n]+)`|^#{1,6} |^```.*$", re.MULTILINE)
