"""`policy.toml`: how a policy is written, and the rules that come of it for each identity.

A section says what it wants to say; what it leaves away is as in `[default]`, and what that leaves away is as built in.
Amounts are text (or whole numbers) in human units and become base units here, exactly or not at all.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from contracts.chain.budget import DAY_S, HOUR_S, WEEK_S, Budget
from contracts.checks.methods import CATEGORIES, NFT_PREFIX, Category
from contracts.checks.toml_places import line_of, places_of
from contracts.errors import InvalidInput
from contracts.knowledge.address_book import NO_NAMES, AddressBook, wrong_names
from contracts.knowledge.names import nearest
from contracts.knowledge.registry import NEAR_SYMBOL, Network, Registry
from contracts.types import NEAR_DECIMALS, TGAS, AccountId, format_units, parse_units

T = TypeVar("T")

ALWAYS: Final[frozenset[Category]] = frozenset(
    {"keys", "deletion", "deploy", "owner_change", "unusual_action", "unread_amount", "unread_arguments"}
)
"""Asked about whatever `always_ask` says."""
MAX_GAS_TGAS: Final = 300
_SOMEBODY: Final = "somebody"
"""In place of an account id that is none."""


def _as_text(value: object) -> str:
    """An amount as it is written; a float is refused, it may not be what was written."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 -- pydantic tells a ValueError alone
            'it is no amount; write it as text, such as "12.5"'
        )
    return value


_Amount: TypeAlias = Annotated[str, BeforeValidator(_as_text), Field(max_length=80)]
_Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=128)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Names(_Part):
    allow: tuple[_Text, ...] | None = None
    """Absent: any. `*` stands for any, `*.example.near` for its sub-accounts, `@name` for the address book's."""
    deny: tuple[_Text, ...] = ()


class _Limits(_Part):
    """Of one token. Windows are rolling; what is reserved or spent counts."""

    decimals: Annotated[int, Field(strict=True, ge=0, le=38)] | None = None
    """For a token that the registry does not know."""
    per_action: _Amount | None = None
    per_hour: _Amount | None = None
    per_day: _Amount | None = None
    per_week: _Amount | None = None
    free_per_action: _Amount | None = None
    """Up to this much goes without asking, within the free windows; needs one of them."""
    free_per_hour: _Amount | None = None
    free_per_day: _Amount | None = None
    free_per_week: _Amount | None = None
    ask_elsewhere_above: _Amount | None = None
    """A plan that sends more is approved over another channel than the one that asked."""
    two_approvers_above: _Amount | None = None


class _Section(_Part):
    networks: tuple[Network, ...] | None = None
    actions: _Names = _Names()
    contracts: _Names = _Names()
    methods: _Names = _Names()
    """`contract:method`; `*` on either side stands for any."""
    recipients: _Names = _Names()
    always_ask: tuple[Category, ...] | None = None
    limits: dict[_Text, _Limits] = Field(default_factory=dict[str, _Limits])
    """By `NEAR`, a registry symbol, a token contract's id, or `nft:` and a contract's id (in pieces)."""
    max_deposit_near: _Amount | None = None
    max_gas_tgas: Annotated[int, Field(strict=True, ge=1, le=MAX_GAS_TGAS)] | None = None
    shared: bool | None = None
    """Several people use this key."""
    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """The HTTP header in which a front end that is trusted with it names the person."""
    approvers: tuple[_Text, ...] | None = None
    """Key ids, and `operator`, who may approve besides those who act for the same account."""


class _File(_Part):
    version: Literal[1]
    address_book: dict[_Text, AccountId] = Field(default_factory=dict[str, AccountId])
    default: _Section = _Section()
    identities: dict[_Text, _Section] = Field(default_factory=dict[str, _Section])


@dataclass(frozen=True, slots=True)
class Names:
    """A list of names, ready to be asked."""

    rule: str
    """Its key in the file."""
    everything: bool
    exact: frozenset[str]
    endings: tuple[str, ...]
    """`.example.near` for `*.example.near`."""

    def has(self, name: str) -> bool:
        return self.everything or name in self.exact or (bool(self.endings) and name.endswith(self.endings))


@dataclass(frozen=True, slots=True)
class Methods:
    """`contract:method` pairs."""

    rule: str
    pairs: tuple[tuple[Names, str], ...]
    """Contracts and the method, `*` for any."""

    def has(self, contract_id: str, method: str) -> bool:
        return any(name in {"*", method} and contracts.has(contract_id) for contracts, name in self.pairs)


ListT = TypeVar("ListT", Names, Methods)


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Limits of one token in base units; None where there is none."""

    rule: str
    """Key of its table, e.g. `default.limits.NEAR`."""
    token: str
    symbol: str | None
    """The registry's."""
    decimals: int
    per_action: int | None
    free_per_action: int | None
    ask_elsewhere_above: int | None
    two_approvers_above: int | None
    budgets: tuple[Budget, ...]

    @property
    def name(self) -> str:
        """`USDC (usdc.near)`, `NEAR`, or the id of a token that the registry does not know."""
        return self.token if self.symbol in {None, self.token} else f"{self.symbol} ({self.token})"

    def shown(self, units: int) -> str:
        """An amount in whole units with the token's name."""
        return f"{format_units(units, self.decimals)} {self.name}"


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that holds for one identity."""

    section: str
    """`default`, `identities.NAME` or `built-in`."""
    networks: frozenset[Network]
    actions: tuple[Names | None, Names]
    """Allowed (None: any) and denied; the same for the next three."""
    contracts: tuple[Names | None, Names]
    methods: tuple[Methods | None, Methods]
    recipients: tuple[Names | None, Names]
    always_ask: frozenset[Category]
    tokens: Mapping[str, TokenRules]
    """By `NEAR`, token contract id or `nft:contract`."""
    max_deposit: int | None
    max_gas: int
    shared: bool
    user_header: str | None
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a file says, per identity; `digest` names the file's content."""

    default: Rules
    identities: Mapping[str, Rules] = field(default_factory=dict[str, Rules])
    address_book: AddressBook = NO_NAMES
    """The same for all identities."""

    def rules_of(self, identity: str) -> Rules:
        """The rules of an API key (`KEY`, or `KEY/USER` of a shared one)."""
        found = self.identities.get(identity) or self.identities.get(identity.partition("/")[0])
        return found or self.default


def built_in_policy() -> Policy:
    """Where there is no file: localnet and testnet allow everything and always ask, mainnet denies."""
    return Policy(_Compiler(_File(version=1), {}).rules("default", _Section(), section="built-in"))


def parse_policy(text: str, registry: Registry, actions: Collection[str] = ()) -> Policy:
    """The policy of a file for the registry's network. `actions` are those that can be named; empty: any.

    InvalidInput `policy_invalid` with everything that is wrong at once, each with its line, its key and the nearest known one
    (`details["problems"]`).
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid([f"it is not TOML: {error}"]) from error
    places = places_of(text)
    file, problems = _read(raw, places)
    symbols = {token.casefold(): token for token in (*registry.symbols, NEAR_SYMBOL)}
    compiler = _Compiler(file, symbols, registry, actions)
    default = compiler.rules("default", file.default)
    identities = {name: compiler.rules(f"identities.{name}", own) for name, own in file.identities.items()}
    found = [*compiler.problems]
    found += ((f"address_book.{name}", reason) for name, reason in wrong_names(file.address_book, symbols.values()))
    problems += [f"{line_of(key, places)}{key} {what}" for key, what in dict.fromkeys(found)]
    if problems:
        raise _invalid(problems)
    return Policy(default, identities, AddressBook.of(file.address_book))


def _read(raw: dict[str, Any], places: Mapping[str, int]) -> tuple[_File, list[str]]:
    """The file without the parts that cannot be read, so that the rest is looked at too, and what is wrong with those."""
    try:
        return _File.model_validate(raw), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in reversed(details):  # of a list, the last element first
        path = detail["loc"]
        if path[0] == "address_book" and len(path) == 2:
            raw["address_book"][path[1]] = _SOMEBODY  # so that a list which names it is not wrong as well
        else:
            _leave_out(raw, path)
    raw["version"] = 1
    problems = [_problem(detail, places) for detail in details]
    try:
        return _File.model_validate(raw), problems
    except ValidationError:
        return _File(version=1), problems


def _leave_out(raw: Any, path: tuple[int | str, ...]) -> None:
    """Take away what stands at a path, or the part of it that is there."""
    try:
        inner = raw[path[0]]
    except (KeyError, IndexError, TypeError):
        return
    if path[1:] and isinstance(inner, dict | list):
        _leave_out(inner, path[1:])
    else:
        del raw[path[0]]


class _Compiler:
    """Turns sections into rules; collects what is wrong as (key, what)."""

    def __init__(
        self,
        file: _File,
        symbols: Mapping[str, str],
        registry: Registry | None = None,
        actions: Collection[str] = (),
    ) -> None:
        self._file = file
        self._book = AddressBook.of(file.address_book)
        self._actions = actions
        self._symbols = symbols
        self._registry = registry
        self.problems: list[tuple[str, str]] = []

    def rules(self, name: str, own: _Section, *, section: str | None = None) -> Rules:
        default = self._file.default

        def said(value: T | None, otherwise: T | None, built_in: T) -> T:
            return value if value is not None else otherwise if otherwise is not None else built_in

        deposit = said(own.max_deposit_near, default.max_deposit_near, "")
        return Rules(
            section=section or name,
            networks=frozenset(said(own.networks, default.networks, ("localnet", "testnet"))),
            actions=self._lists(name, "actions", own.actions, default.actions),
            contracts=self._lists(name, "contracts", own.contracts, default.contracts),
            methods=self._methods(name, own.methods, default.methods),
            recipients=self._lists(name, "recipients", own.recipients, default.recipients),
            always_ask=ALWAYS | frozenset(said(own.always_ask, default.always_ask, CATEGORIES)),
            tokens=self._tokens(name, own, default),
            max_deposit=None if deposit == "" else self._amount(f"{name}.max_deposit_near", deposit, NEAR_DECIMALS),
            max_gas=said(own.max_gas_tgas, default.max_gas_tgas, MAX_GAS_TGAS) * TGAS,
            shared=said(own.shared, default.shared, False),
            user_header=own.user_header or default.user_header,
            approvers=said(own.approvers, default.approvers, ()),
        )

    def _lists(self, name: str, key: str, own: _Names, default: _Names) -> tuple[Names | None, Names]:
        """An own list of what is allowed replaces the default's; what is denied adds up."""
        place = f"{name}.{key}" if own.allow is not None else f"default.{key}"
        allow = own.allow if own.allow is not None else default.allow
        deny = (*own.deny, *(default.deny if own is not default else ()))
        denied = self._names(f"{name if own.deny else 'default'}.{key}.deny", deny)
        return None if allow is None else self._names(f"{place}.allow", allow), denied

    def _names(self, rule: str, names: tuple[str, ...]) -> Names:
        exact: set[str] = set()
        endings: list[str] = []
        for name in names:
            account_like = name.startswith("@") or _ACCOUNT_LIKE.fullmatch(name.removeprefix("*."))
            if name != "*" and not account_like and ".actions." not in rule:
                self.problems.append((rule, f"holds {name!r}, which no account can be called"))
            if name != "*" and ".actions." in rule and self._actions and name not in self._actions:
                close = nearest(name, self._actions)
                self.problems.append((rule, f"holds {name!r}, which is no action{_close(close)}"))
            if name.startswith("@"):
                named = self._book.named(name)
                account = named and named.account_id
                if account is None:
                    close = nearest(name[1:], self._file.address_book)
                    self.problems.append((rule, f"names {name}, which is not in the address book{_close(close, '@')}"))
                exact.add(account or name)
            elif name.startswith("*."):
                endings.append(name[1:])
            else:
                exact.add(name)
        return Names(rule, "*" in names, frozenset(exact - {"*"}), tuple(endings))

    def _methods(self, name: str, own: _Names, default: _Names) -> tuple[Methods | None, Methods]:
        place = name if own.allow is not None else "default"
        allow = own.allow if own.allow is not None else default.allow
        deny = (*own.deny, *(default.deny if own is not default else ()))
        denied = self._pairs(f"{name if own.deny else 'default'}.methods.deny", deny)
        return None if allow is None else self._pairs(f"{place}.methods.allow", allow), denied

    def _pairs(self, rule: str, texts: tuple[str, ...]) -> Methods:
        pairs: list[tuple[Names, str]] = []
        for text in texts:
            contract, colon, method = text.rpartition(":")
            if not colon or not contract or not method:
                self.problems.append((rule, f"holds {text!r}; write contract:method, with * for any of either"))
            pairs.append((self._names(rule, (contract,)), method))
        return Methods(rule, tuple(pairs))

    def _tokens(self, name: str, own: _Section, default: _Section) -> dict[str, TokenRules]:
        found: dict[str, TokenRules] = {}
        for section, place in ((default, "default"), (own, name)):
            for token, limits in section.limits.items():
                key = f"{place}.limits.{token}"
                resolved = self._token(key, token, limits)
                if resolved is not None:
                    scope: Literal["account", "identity"] = "account" if place == "default" else "identity"
                    rules = self._token_rules(key, resolved, limits, scope)
                    before = found.get(resolved[0]) if section is not default else None
                    found[resolved[0]] = rules if before is None else _over(before, rules)
        return found

    def _token(self, key: str, token: str, limits: _Limits) -> tuple[str, str | None, int] | None:
        """The token's id, its symbol and its decimals."""
        symbol = self._symbols.get(token.casefold())
        if symbol == NEAR_SYMBOL:
            return NEAR_SYMBOL, NEAR_SYMBOL, NEAR_DECIMALS
        if token.startswith(NFT_PREFIX):
            return token, None, 0
        if self._registry is None:
            return None
        entry = self._registry.by_symbol.get(token.casefold()) or self._registry.of_contract(token)
        contract_id = entry.contract_id if entry else token
        if entry is None and (not _ACCOUNT_LIKE.fullmatch(token) or "." not in token):
            close = nearest(token, (*self._symbols.values(),))
            self.problems.append(
                (key, f"is no token of {self._registry.network}{_close(close)}; or write its contract's id")
            )
            return None
        decimals = entry.decimals if entry and entry.decimals is not None else limits.decimals
        if decimals is None:
            self.problems.append((key, "needs decimals = ..., the registry does not know this token"))
            return None
        if limits.decimals not in {None, decimals}:
            self.problems.append((key, f"says {limits.decimals} decimals, the registry {decimals}"))
        return contract_id, entry and entry.symbol, decimals

    def _token_rules(
        self, key: str, token: tuple[str, str | None, int], limits: _Limits, scope: Literal["account", "identity"]
    ) -> TokenRules:
        token_id, symbol, decimals = token

        def amount(name: str, value: _Amount | None) -> int | None:
            return None if value is None else self._amount(f"{key}.{name}", value, decimals)

        budgets: list[Budget] = []
        for name, window_s, value, free in (
            ("per_hour", HOUR_S, limits.per_hour, False),
            ("per_day", DAY_S, limits.per_day, False),
            ("per_week", WEEK_S, limits.per_week, False),
            ("free_per_hour", HOUR_S, limits.free_per_hour, True),
            ("free_per_day", DAY_S, limits.free_per_day, True),
            ("free_per_week", WEEK_S, limits.free_per_week, True),
        ):
            units = amount(name, value)
            if units is not None:
                budgets.append(Budget(f"{key}.{name}", token_id, window_s, units, decimals, scope, free, symbol))
        free_per_action = amount("free_per_action", limits.free_per_action)
        if free_per_action and not any(budget.free for budget in budgets):
            self.problems.append(
                (f"{key}.free_per_action", "needs free_per_hour, free_per_day or free_per_week beside it")
            )
        return TokenRules(
            rule=key,
            token=token_id,
            symbol=symbol,
            decimals=decimals,
            per_action=amount("per_action", limits.per_action),
            free_per_action=free_per_action,
            ask_elsewhere_above=amount("ask_elsewhere_above", limits.ask_elsewhere_above),
            two_approvers_above=amount("two_approvers_above", limits.two_approvers_above),
            budgets=tuple(budgets),
        )

    def _amount(self, key: str, value: _Amount, decimals: int) -> int:
        try:
            return parse_units(str(value), decimals)
        except InvalidInput as error:
            self.problems.append((key, f"cannot be used: {error.message}"))
            return 0


def _over(default: TokenRules, own: TokenRules) -> TokenRules:
    """An identity's limits of a token; what they leave away is as in the default."""

    def said(value: int | None, otherwise: int | None) -> int | None:
        return otherwise if value is None else value

    windows = {(budget.window_s, budget.free) for budget in own.budgets}
    return replace(
        own,
        per_action=said(own.per_action, default.per_action),
        free_per_action=said(own.free_per_action, default.free_per_action),
        ask_elsewhere_above=said(own.ask_elsewhere_above, default.ask_elsewhere_above),
        two_approvers_above=said(own.two_approvers_above, default.two_approvers_above),
        budgets=(*own.budgets, *(one for one in default.budgets if (one.window_s, one.free) not in windows)),
    )


_ACCOUNT_LIKE: Final = re.compile(r"[a-z\d._-]{2,64}", re.ASCII)
_KEYS: Final[Mapping[str, type[_Part]]] = {
    "limits": _Limits,
    "actions": _Names,
    "contracts": _Names,
    "methods": _Names,
    "recipients": _Names,
}


def _invalid(problems: list[str]) -> InvalidInput:
    lines = "".join(f"\n  {problem}" for problem in problems)
    return InvalidInput("policy_invalid", f"the policy cannot be used:{lines}", details={"problems": [*problems]})


def _problem(detail: ErrorDetails, places: Mapping[str, int]) -> str:
    parts = [str(part) for part in detail["loc"]]
    key = ".".join(parts)
    if detail["type"] == "extra_forbidden":
        close = nearest(parts[-1], _known(parts[:-1]))
        return f"{line_of(key, places)}{key} is not a known key{_close(close)}"
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        choices = (*CATEGORIES, "localnet", "testnet", "mainnet")
        return f"{line_of(key, places)}{key}: {detail['input'][:60]!r} is not known{_close(nearest(detail['input'], choices))}"
    return f"{line_of(key, places)}{key or 'the file'}: {detail['msg'].removeprefix('Value error, ')}"


def _known(path: list[str]) -> Iterator[str]:
    """The keys that may stand at a place of the file."""
    model: type[_Part] = _Section
    if not path:
        model = _File
    elif path[-1] in _KEYS and path[-1] != "limits":
        model = _KEYS[path[-1]]
    elif len(path) > 1 and path[-2] == "limits":
        model = _Limits
    return iter(model.model_fields)


def _close(found: str | None, before: str = "") -> str:
    return f"; nearest: {before}{found}" if found else ""
