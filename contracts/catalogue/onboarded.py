"""Actions from a contract's address: each described method of a contract that an admin added becomes one.

They are pinned to the code that the admin saw: once the account has other code they are refused until it is added again.
What a model is told of them comes from names and types alone, within limits; what the contract's author wrote is quoted to
people who ask for help. The call itself is built and checked as `contract_call` and `contract_view` do.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from contracts.catalogue.arguments import Args, ArgumentKind, ArgumentValue, Parameter
from contracts.catalogue.contract import (
    CONTRACT_CALL,
    CONTRACT_VIEW,
    DEFAULT_GAS,
    ContractCallArgs,
    ContractViewArgs,
)
from contracts.catalogue.entry import BuildContext, Built, Entry
from contracts.catalogue.receivers import missing_contract
from contracts.chain.outcome import ViewReturned
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import Absent, AccountFact, AccountFacts, ChainFacts, FactRequest
from contracts.knowledge.inert import inert
from contracts.knowledge.interface import Interface, Method, type_name
from contracts.types import AccountId, CryptoHash, Gas, format_near

MAX_METHODS: Final = 64
"""Of one contract: every one is a tool that a model reads."""
MAX_PARAMETERS: Final = 16
MAX_CHOICES: Final = 40
MAX_NAME: Final = 64
"""Of a tool, by OpenAI's function format."""
MAX_ABOUT: Final = 160
_METHOD: Final = re.compile(r"[a-z][a-z0-9_]{0,47}", re.ASCII)
_PARAMETER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}", re.ASCII)
_CHOICE: Final = re.compile(r"[a-z0-9_-]{1,24}", re.ASCII)
_LEFT_OUT: Final = frozenset({"new", "init", "migrate"})
_OWN: Final = ("deposit", "gas")
_TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}


class _Pinned(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PinnedParameter(_Pinned):
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,39}$")]
    kind: ArgumentKind
    type: Annotated[str, Field(max_length=80)]
    """In words, inert."""
    required: bool
    choices: tuple[str, ...] = ()


class PinnedMethod(_Pinned):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    kind: Literal["view", "call"]
    parameters: tuple[PinnedParameter, ...]
    payable: bool
    one_yocto: bool = False
    doc: Annotated[str, Field(max_length=2_000)] = ""
    """The author's words, outside data."""
    standard: str | None = None


class PinnedContract(_Pinned):
    """A contract as an admin added it."""

    account_id: AccountId
    code_hash: CryptoHash
    added_at: float
    """Unix seconds."""
    methods: Annotated[tuple[PinnedMethod, ...], Field(max_length=MAX_METHODS)]
    symbol: Annotated[str | None, Field(max_length=40)] = None
    """Of a token: what it calls itself."""
    decimals: Annotated[int | None, Field(ge=0, le=38)] = None


class OnboardedArgs(Args):
    values: dict[str, JsonValue]
    deposit: str
    gas: Gas


@dataclass(frozen=True, slots=True)
class Described:
    """The methods that become actions, and those that do not, with the reason."""

    methods: tuple[PinnedMethod, ...]
    left_out: Mapping[str, str]


def describe_methods(interface: Interface) -> Described:
    """What of an interface becomes actions: methods whose kind and JSON arguments are known."""
    methods: list[PinnedMethod] = []
    left_out: dict[str, str] = {}
    for name, method in interface.methods.items():
        reason = _why_not(method)
        if reason is None and len(methods) == MAX_METHODS:
            reason = f"at most {MAX_METHODS} methods of a contract become actions"
        if reason is None:
            methods.append(_pinned(method))
        else:
            left_out[inert(name, 80)] = reason
    return Described(tuple(methods), left_out)


def _why_not(method: Method) -> str | None:
    if method.origin == "exports" or method.kind is None or method.parameters is None:
        return "its arguments are not described; use contract_call"
    if not _METHOD.fullmatch(method.name) or method.name in _LEFT_OUT or method.name.startswith("ft_on_"):
        return "its name is not for people to call"
    if method.private:
        return "only the contract itself may call it"
    if len(method.parameters) > MAX_PARAMETERS:
        return f"it has more than {MAX_PARAMETERS} arguments"
    if not all(_PARAMETER.fullmatch(parameter.name) for parameter in method.parameters):
        return "its arguments have unusual names"
    return None


def _pinned(method: Method) -> PinnedMethod:
    parameters = sorted(method.parameters or (), key=lambda parameter: not parameter.required)
    return PinnedMethod(
        name=method.name,
        kind="view" if method.kind == "view" else "call",
        parameters=tuple(
            _parameter(parameter.name, parameter.schema, required=parameter.required) for parameter in parameters
        ),
        payable=method.payable is not False,
        one_yocto=method.one_yocto,
        doc=method.doc,
        standard=method.standard,
    )


def _parameter(name: str, schema: JsonValue, *, required: bool) -> PinnedParameter:
    kind, choices = _argument_kind(_without_null(schema))
    return PinnedParameter(name=name, kind=kind, type=type_name(schema)[:80], required=required, choices=choices)


def _without_null(schema: JsonValue) -> JsonValue:
    """The schema of an Option's inside."""
    match schema:
        case {"anyOf": [inner, {"type": "null"}]} | {"anyOf": [{"type": "null"}, inner]}:
            return inner
        case {"type": [str(kind), "null"], **rest} | {"type": ["null", str(kind)], **rest}:
            return {**rest, "type": kind}
        case _:
            return schema


def _argument_kind(schema: JsonValue) -> tuple[ArgumentKind, tuple[str, ...]]:
    """How people write a value of this type; `json` for what has no simpler form."""
    match schema:
        case {"$ref": str(reference)} if reference.endswith("/AccountId"):
            return "account_id", ()
        case {"type": "string", "enum": list(words)} if len(words) <= MAX_CHOICES:
            plain = tuple(word for word in words if isinstance(word, str) and _CHOICE.fullmatch(word))
            return "string", plain if len(plain) == len(words) else ()
        case {"type": "string"}:
            return "string", ()
        case {"type": "boolean"}:
            return "string", tuple(_TRUTH)
        case {"type": "integer", "format": str(width)} if width.startswith("uint") and width != "uint128":
            return "int", ()
        case {"type": "array", "items": {"type": "string"}}:
            return "list[string]", ()
        case {"type": "object"}:
            return "object", ()
        case _:
            return "json", ()


def action_name(account_id: AccountId, method_name: str) -> str:
    """`guestbook--localnet__add_message`: letters that a tool's name may have, and no other account's by accident.

    Two separators never stand together in an account id, so that `--` for a dot and `__` cannot be part of one.
    """
    plain = f"{account_id.replace('.', '--')}__{method_name}"
    if len(plain) <= MAX_NAME:
        return plain
    digest = hashlib.sha256(account_id.encode()).hexdigest()[:12]
    return f"c{digest}__{method_name}"


def entries_of(contract: PinnedContract) -> tuple[Entry[OnboardedArgs], ...]:
    """The actions of a contract."""
    return tuple(_Action(contract, method).entry() for method in contract.methods)


def names_of(contracts: Iterable[PinnedContract]) -> tuple[str, ...]:
    return tuple(action_name(contract.account_id, method.name) for contract in contracts for method in contract.methods)


@dataclass(frozen=True, slots=True)
class _Action:
    """One method as an action."""

    contract: PinnedContract
    method: PinnedMethod

    def entry(self) -> Entry[OnboardedArgs]:
        account_id, method = self.contract.account_id, self.method
        return Entry(
            name=action_name(account_id, method.name),
            kind="view" if self._is_view else "change",
            about=f"{'ask' if self._is_view else 'call'} {method.name} of {account_id}"[:MAX_ABOUT],
            args=OnboardedArgs,
            build=self.build,
            examples=(),
            needs=self.needs,
            answer=self.answer,
            explain=self.explain,
            declared=self.declared,
            make=self.make,
            quoted=method.doc,
        )

    @property
    def _is_view(self) -> bool:
        return self.method.kind == "view"

    @property
    def declared(self) -> tuple[Parameter, ...]:
        declared = [
            Parameter(one.name, one.kind, one.required, one.type, choices=one.choices) for one in self.method.parameters
        ]
        if not self._is_view and self.method.payable:
            declared.append(Parameter(self._own("deposit"), "amount", required=False, about="NEAR"))
        if not self._is_view:
            declared.append(Parameter(self._own("gas"), "tgas", required=False, about="Tgas"))
        return tuple(declared)

    def _own(self, name: str) -> str:
        """The name of an argument that is ours, where the method has none of that name."""
        return f"attached_{name}" if any(one.name == name for one in self.method.parameters) else name

    def make(self, values: Mapping[str, ArgumentValue]) -> OnboardedArgs:
        deposit, gas = values.get(self._own("deposit")), values.get(self._own("gas"))
        unasked = format_near(1) if self.method.one_yocto else "0"
        given = (one for one in self.method.parameters if one.name in values)
        return OnboardedArgs(
            values={one.name: _json(one, values[one.name]) for one in given},
            deposit=deposit if isinstance(deposit, str) else unasked,
            gas=Gas(gas) if isinstance(gas, int) else DEFAULT_GAS,
        )

    def _call(self, args: OnboardedArgs) -> ContractCallArgs:
        return ContractCallArgs(
            contract_id=self.contract.account_id,
            method_name=self.method.name,
            args=args.values,
            args_base64=None,
            deposit=args.deposit,
            gas=args.gas,
        )

    def _view(self, args: OnboardedArgs) -> ContractViewArgs:
        return ContractViewArgs(
            contract_id=self.contract.account_id, method_name=self.method.name, args=args.values, args_base64=None
        )

    def needs(self, args: OnboardedArgs, context: BuildContext) -> tuple[FactRequest, ...]:
        if self._is_view:
            return (AccountFacts(self.contract.account_id), *CONTRACT_VIEW.needs(self._view(args), context))
        return CONTRACT_CALL.needs(self._call(args), context)

    def build(self, args: OnboardedArgs, facts: ChainFacts, context: BuildContext) -> Built:
        check_pin(self.contract, facts, context)
        if self._is_view:
            return CONTRACT_VIEW.build(self._view(args), facts, context)
        return CONTRACT_CALL.build(self._call(args), facts, context)

    def answer(self, args: OnboardedArgs, returned: ViewReturned, facts: ChainFacts, context: BuildContext) -> str:
        return CONTRACT_VIEW.answer(self._view(args), returned, facts, context)

    def explain(self, args: OnboardedArgs, error: RpcError, context: BuildContext) -> str | None:
        return CONTRACT_VIEW.explain(self._view(args), error, context)


def _json(parameter: PinnedParameter, value: ArgumentValue) -> JsonValue:
    """The value as the contract reads it."""
    if parameter.choices == tuple(_TRUTH) and isinstance(value, str):
        return _TRUTH[value]
    if isinstance(value, tuple):
        return list(value)
    if value is None or isinstance(value, str | int | float | list | dict):
        return str(value) if isinstance(value, AccountId) else value
    raise TypeError(f"{parameter.name} is a {type(value).__name__}")


def check_pin(contract: PinnedContract, facts: ChainFacts, context: BuildContext) -> None:
    """Refuse where the account has other code than the admin saw: InvalidInput `contract_changed`."""
    account = facts.of(AccountFacts(contract.account_id), AccountFact)
    if isinstance(account, Absent):
        raise missing_contract(contract.account_id, account, context)
    if account.code_hash != contract.code_hash:
        raise InvalidInput(
            "contract_changed",
            f"the code of {contract.account_id} has changed since it was added ({contract.code_hash} then, "
            f"{account.code_hash or 'none of its own'} now), so its actions are off. On the daemon's machine, look at it "
            f"and add it again: near-agent contract add {contract.account_id}",
            details={
                "contract_id": contract.account_id,
                "pinned": contract.code_hash,
                "found": account.code_hash,
            },
        )
