"""From planned calls to calls: facts read at one block, the entries' pure `build`, validation of what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from agent.records import PlannedCall
from agent.story import Settings
from contracts.calls import ChangeCall, ViewCall
from contracts.catalogue.entry import AnyEntry, BuildContext, Built
from contracts.chain.ledger import Ledger
from contracts.chain.outcome import Effect
from contracts.chain.rpc_types import ProtocolConfig
from contracts.checks.validation import ValidatedCall, ValidationContext, validate
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.account_keys import NO_SIGNER, KeySource
from contracts.knowledge.facts import AccountFact, AccountFacts, ChainFacts, ChainReader, FactRequest, FactValue
from contracts.knowledge.interface import InterfaceCache
from contracts.knowledge.pools import PoolIndex
from contracts.knowledge.reading import read_facts, read_further
from contracts.knowledge.registry import Registry
from contracts.types import AccountId, CryptoHash, Yocto, format_near


class Reads(ChainReader, Protocol):
    """What is read from the chain to build, show and price a plan. RpcError where a node does not answer."""

    async def protocol_config(self) -> ProtocolConfig: ...

    async def gas_price(self) -> Yocto: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One planned call, built. `args` is what the entry read from the plan's arguments."""

    planned: PlannedCall
    entry: AnyEntry
    args: Any
    context: BuildContext
    facts: ChainFacts
    built: Built
    validated: tuple[ValidatedCall, ...]

    @property
    def views(self) -> tuple[ViewCall, ...]:
        return tuple(made.call for made in self.validated if not isinstance(made.call, ChangeCall))

    @property
    def changes(self) -> tuple[ChangeCall, ...]:
        return tuple(made.call for made in self.validated if isinstance(made.call, ChangeCall))

    @property
    def expected(self) -> tuple[tuple[Effect, ...], ...]:
        """Expected effects per change; where an action of several does not tell them apart, it has none."""
        if len(self.built.expected_per_call) == len(self.changes):
            return self.built.expected_per_call
        return (self.built.expected,) if len(self.changes) == 1 else ((),) * len(self.changes)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where facts come from, with what is remembered of it: one node's word about a contract stays out of agreed ones."""

    reads: Reads
    interfaces: InterfaceCache = field(default_factory=InterfaceCache)
    pools: PoolIndex = field(default_factory=PoolIndex)


class Builder:
    """Builds for one network. InvalidInput where the plan cannot become calls, RpcError where facts cannot be read.

    A plan that changes something is built from `agreed` facts, where there is more than one operator to ask.
    """

    def __init__(
        self,
        catalogue: Mapping[str, AnyEntry],
        registry: Registry,
        reads: Reads,
        ledger: Ledger,
        settings: Settings,
        *,
        keys: KeySource = NO_SIGNER,
        agreed: Reads | None = None,
    ) -> None:
        self._keys = keys
        self._catalogue = catalogue
        self._registry = registry
        self._views = _Source(reads)
        self._changes = self._views if agreed is None else _Source(agreed)
        self._ledger = ledger
        self._settings = settings

    async def build(self, calls: Sequence[PlannedCall], signer_id: AccountId) -> tuple[Step, ...]:
        """The steps of a plan, all facts read at one final block."""
        entries = [self._entry(call.action) for call in calls]
        changes = any(entry.kind == "change" for entry in entries)
        source = self._changes if changes else self._views
        context = await self._context(source.reads, signer_id)
        read = [entry.parse(call.args, signer_id, self._registry) for entry, call in zip(entries, calls, strict=True)]
        contexts = [await self._with_sender(context, call) for call in calls]
        wanted: list[FactRequest] = []
        for entry, args, own in zip(entries, read, contexts, strict=True):
            wanted += entry.needs(args, own)
        signer = AccountFacts(signer_id)
        if changes:
            wanted.append(signer)
        facts = await read_facts(source.reads, wanted, self._keys, source.interfaces, source.pools)
        for entry, args, own in zip(entries, read, contexts, strict=True):
            further = entry.further(args, facts, own)
            facts = await read_further(source.reads, facts, further, self._keys, source.interfaces, source.pools)
        limits = ValidationContext(context.limits, facts.methods)
        steps: list[Step] = []
        for call, entry, args, own in zip(calls, entries, read, contexts, strict=True):
            built = entry.build(args, facts, own)
            validated = tuple(validate(made, limits) for made in built.calls)
            steps.append(Step(call, entry, args, own, facts, built, validated))
        _check_balance([change for step in steps for change in step.changes], signer_id, facts.values.get(signer))
        return tuple(steps)

    def _entry(self, action: str) -> AnyEntry:
        entry = self._catalogue.get(action)
        if entry is None:
            raise InvalidInput(
                "unknown_action", f"the action {action} was removed since it was planned; nothing is built"
            )
        return entry

    async def _context(self, reads: Reads, signer_id: AccountId) -> BuildContext:
        limits = (await reads.protocol_config()).limits
        if limits is None:
            raise RpcError("BAD_ANSWER", "the node does not state its limits; configure another RPC address")
        settings = self._settings
        return BuildContext(settings.network, settings.chain_id, signer_id, self._registry, limits, swap=settings.swap)

    async def _with_sender(self, context: BuildContext, call: PlannedCall) -> BuildContext:
        """For a transaction's status without a sender: the account that sent this hash by our own ledger."""
        tx_hash = call.args.get("tx_hash")
        if not isinstance(tx_hash, str) or "sender_id" in call.args:
            return context
        intent = await self._ledger.by_hash(CryptoHash(tx_hash))
        return context if intent is None else replace(context, default_sender=intent.signer_id)


def _check_balance(changes: Sequence[ChangeCall], signer_id: AccountId, signer: FactValue | None) -> None:
    """InvalidInput `balance_too_low` where the first transaction leaves with more NEAR than there is.

    Later ones may spend what earlier ones bring, so of them nothing can be said before.
    """
    if changes and isinstance(signer, AccountFact) and changes[0].deposit > signer.amount:
        raise InvalidInput(
            "balance_too_low",
            f"{signer_id} has {format_near(signer.amount)} NEAR, so {format_near(changes[0].deposit)} NEAR and the gas "
            "cannot leave it; nothing was sent",
            details={"account_id": signer_id, "balance": str(signer.amount), "needed": str(changes[0].deposit)},
        )


def split_at_change(steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The views that can be answered at once, and everything from the first change on."""
    first = next((place for place, step in enumerate(steps) if step.changes), len(steps))
    return tuple(steps[:first]), tuple(steps[first:])
