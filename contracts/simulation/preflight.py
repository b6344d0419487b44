"""Pre-flight: what a plan would do, found out at one final block before anyone signs.

Facts are read in parallel, the calls run in the sandbox on state read as they need it, the checks of
`contracts.checks.preflight` judge both. Whatever goes wrong on the way is `unknown` in the report, never an exception.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from weakref import WeakValueDictionary

import structlog

from contracts.calls import ChangeCall, FullAccess
from contracts.chain.effects import NEAR
from contracts.chain.outcome import Effect
from contracts.chain.prechecks import check_key
from contracts.chain.rpc_types import AccessKeyView, AccountView, BlockView, ProtocolConfig
from contracts.checks.moves import Question, contracts_of, moves_of, questions_of
from contracts.checks.preflight import KnownThings, NotRead, PlanFacts, Seen, SeenAccount, UsedCode, judge_plan
from contracts.checks.report import Balance, Check, ContractSeen, PreflightReport, unknown_report
from contracts.errors import ContractsError, InvalidInput
from contracts.knowledge.exchange import PriceImpact
from contracts.knowledge.inert import inert
from contracts.simulation.messages import Done, Given, Ground, Job, JobStep, Measure, Need, NotGiven, Probe, TokenOf
from contracts.simulation.native import NativeRuns, runs_no_code
from contracts.simulation.pool import SandboxPool, Simulating
from contracts.simulation.prices import bought_gas, config_of, highest_gas_price, prices_of
from contracts.simulation.reading import Reading, read_step, unknown_step
from contracts.simulation.remote_state import Codes, FullKeys, Pinned, RemoteState, StateRpc, Unread
from contracts.simulation.sandbox import SimulationRun, Unsimulated
from contracts.simulation.turns import NOBODY, Asker, NoCapacity
from contracts.types import AccountId, PublicKey
from contracts.vm.fees import execution_gas

log = structlog.get_logger()

_MAX_BALANCES: Final = 40
_MAX_KEYS: Final = 3
"""Of the signer's own keys that are looked at."""


def _nobody(_account_id: AccountId) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class PreflightRequest:
    """A plan to look at. Sequences are by transaction."""

    signer_id: AccountId
    calls: tuple[ChangeCall, ...]
    expected: tuple[tuple[Effect, ...], ...] = ()
    """What the plan says that each transaction moves; empty where it says nothing."""
    paid_before: Callable[[AccountId], bool] = _nobody
    price_impacts: Mapping[int, PriceImpact] = field(default_factory=dict[int, PriceImpact])
    """Of swaps, by place."""
    used_codes: Mapping[AccountId, UsedCode] = field(default_factory=dict[AccountId, UsedCode])
    """The code of contracts at the signer's last use of them."""
    watched: tuple[TokenOf, ...] = ()
    """Balances to measure if the token's contract runs, whatever it says that it moved."""
    asker: Asker = NOBODY
    block: Pinned | None = None
    """The final block that the plan was built at; None: the latest is asked for."""


class Keys(Protocol):
    async def public_keys(self, account_id: AccountId) -> tuple[PublicKey, ...]: ...


@dataclass(frozen=True, slots=True)
class PreflightSettings:
    total_s: float = 20.0
    """All of it, waiting for nodes included, and for a turn at the sandbox not; what is not known by then is unknown."""
    max_rpc_calls: int = 40
    """Requests that one plan may take; contracts with large state are read record by record."""
    reads_per_key: int = 8
    """Requests to nodes that the plans of one API key have under way at a time."""


class PreflightService:
    """Safe for concurrent use."""

    def __init__(
        self,
        rpc: StateRpc,
        pool: SandboxPool,
        keys: Keys,
        *,
        known: Callable[[], KnownThings],
        clock: Callable[[], float],
        codes: Codes | None = None,
        settings: PreflightSettings | None = None,
    ) -> None:
        self._rpc = rpc
        self._pool = pool
        self._keys = keys
        self._known = known
        self._clock = clock
        self._settings = settings or PreflightSettings()
        self._codes = codes or Codes()
        self._native = NativeRuns()
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def preflight(self, request: PreflightRequest) -> PreflightReport | NoCapacity:
        """The report of a plan; it says `unknown` where it could not be made, and raises nothing but a cancellation.

        NoCapacity where it did not get its turn at the sandbox: then nothing is said about the plan.
        """
        began = time.perf_counter()
        limit_s = self._settings.total_s
        try:
            async with asyncio.timeout(limit_s) as deadline:
                return await self._report(request, began, deadline)
        except TimeoutError:
            reason = f"it took longer than {limit_s:g} s"
        except ContractsError as error:
            reason = inert(error.message, 200)
        except ExceptionGroup as group:
            # One error in a group of reads is told; what is none of ours must not hide.
            found, others = group.split(ContractsError)
            if others is not None or found is None:
                raise
            reason = inert(str(found.exceptions[0]), 200)
        log.warning("preflight_unknown", signer_id=request.signer_id, problem=reason)
        return unknown_report(reason, own_ms=round((time.perf_counter() - began) * 1000, 3))

    async def _pinned(self, request: PreflightRequest) -> Pinned:
        return request.block or Pinned.of(await self._rpc.block("final"))

    async def _report(
        self, request: PreflightRequest, began: float, deadline: asyncio.Timeout
    ) -> PreflightReport | NoCapacity:
        async with asyncio.TaskGroup() as group:
            pinned = group.create_task(self._pinned(request))
            stated = group.create_task(self._rpc.protocol_config())
            held = group.create_task(self._keys.public_keys(request.signer_id))
            if not runs_no_code(request.calls):
                group.create_task(self._pool.warm())
        waited_ms = (time.perf_counter() - began) * 1000
        async with asyncio.TaskGroup() as group:
            slots = self._slots_of(request.asker.key_id)
            state = RemoteState(self._rpc, pinned.result(), self._codes, group, self._settings.max_rpc_calls, slots)
            flight = _Flight(request, state, stated.result(), held.result(), self._known(), self._clock())
            reading = time.perf_counter()
            given = await flight.read_ahead()
            waited_ms += (time.perf_counter() - reading) * 1000
            missed = await self._simulate(flight, request, given, deadline)
            if missed is not None:
                return missed
            waited_ms += flight.waited_ms
            report = await flight.report()
        spent_ms = (time.perf_counter() - began) * 1000 - waited_ms - report.compile_ms
        return _timed(report, state.calls + (request.block is None), spent_ms)

    async def _simulate(
        self, flight: "_Flight", request: PreflightRequest, given: list[Given], deadline: asyncio.Timeout
    ) -> NoCapacity | None:
        """Run the plan; where it runs contracts, in a process of the pool. The deadline stands still while it queues."""
        if runs_no_code(request.calls):
            await flight.simulate(self._native, given)
            return None
        clock, began = asyncio.get_running_loop(), time.perf_counter()
        left_s = (deadline.when() or 0.0) - clock.time()
        deadline.reschedule(None)
        async with self._pool.turn(request.asker) as sandbox:
            flight.waited_ms += (time.perf_counter() - began) * 1000
            if isinstance(sandbox, NoCapacity):
                return sandbox
            deadline.reschedule(clock.time() + left_s)
            await flight.simulate(sandbox, given)
        return None

    def _slots_of(self, key_id: str) -> asyncio.Semaphore:
        """Requests to nodes that plans of this key may have under way together."""
        slots = self._slots.get(key_id)
        if slots is None:
            slots = self._slots[key_id] = asyncio.Semaphore(self._settings.reads_per_key)
        return slots


def _timed(report: PreflightReport, rpc_calls: int, own_ms: float) -> PreflightReport:
    return replace(report, rpc_calls=rpc_calls, own_ms=round(max(0.0, own_ms), 3))


class _Flight:
    """One plan on its way through."""

    def __init__(
        self,
        request: PreflightRequest,
        state: RemoteState,
        stated: ProtocolConfig,
        keys: tuple[PublicKey, ...],
        known: KnownThings,
        now: float,
    ) -> None:
        self._request = request
        self._state = state
        self._block = state.block
        self._stated = stated
        self._all_keys = keys
        self._held = keys[:_MAX_KEYS]
        self._keys = keys[:1]
        """Those that were looked at: one with full access may do everything, so no other is asked about."""
        self._known = known
        self._now = now
        self._config = config_of(prices_of(stated))
        self._readings: list[Reading] = []
        self._questions = [questions_of(request.signer_id, call) for call in request.calls]
        self._answers: dict[tuple[int, Question], bytes | None] = {}
        self._near: tuple[AccountId, ...] = ()
        self._tokens: tuple[TokenOf, ...] = ()
        self._balances: list[Balance] = []
        called = (call.receiver_id for call in request.calls if call.calls_contract)
        self._called = tuple(dict.fromkeys(called))
        self._contracts = tuple(dict.fromkeys(one for call in request.calls for one in contracts_of(call)))
        """Those that are called, and those that get something with a message: their code decides what becomes of it."""
        self._unsimulated: str | None = None
        self.waited_ms = 0.0
        self._compile_ms = 0.0

    async def read_ahead(self) -> list[Given]:
        """Everything that is surely needed, at once."""
        request, state = self._request, self._state
        run = self._contracts
        others = {request.signer_id, *(call.receiver_id for call in request.calls)}
        others |= {move.recipient_id for call in request.calls for move in moves_of(call)}
        async with asyncio.TaskGroup() as group:
            contracts = [group.create_task(state.whole_contract(contract_id)) for contract_id in run]
            for account_id in others - set(run):
                group.create_task(state.account(account_id))
            for key in self._keys:
                group.create_task(state.access_key(request.signer_id, key))
            for contract_id in self._called:
                group.create_task(state.full_keys(contract_id))
        given = [given for contract in contracts for given in contract.result()]
        return given + [await state.answer(Need("account", account_id)) for account_id in others - set(run)]

    async def simulate(self, sandbox: Simulating | NativeRuns, given: list[Given]) -> None:
        """Run the plan, unless facts say already that nobody can sign it."""
        request = self._request
        signer = await self._state.account(request.signer_id)
        key = await self._signing_key()
        if signer is None or key is None:
            self._readings = [unknown_step(0, "it was not run: nothing can be signed for this account")]
            return
        given.append(await self._state.answer(Need("key", request.signer_id, key.encode())))
        job = Job(
            ground=Ground(
                height=self._block.height,
                block_hash=self._block.hash,
                timestamp_ns=max(self._block.timestamp_ns, int(self._now * 1e9)),
                gas_price=max(self._block.gas_price, self._stated.min_gas_price),
            ),
            prices=prices_of(self._stated),
            signer_id=request.signer_id,
            public_key=key,
            steps=tuple(
                JobStep(call, tuple(Probe(item.contract_id, item.method_name, item.args) for item in questions))
                for call, questions in zip(request.calls, self._questions, strict=True)
            ),
            given=tuple(one for one in given if not isinstance(one, NotGiven)),
        )
        result = await sandbox.run(job, self._answer, lambda done: self._read(job, done))
        match result:
            case Unsimulated(reason):
                self._unsimulated = reason
                self._readings = [unknown_step(0, reason)]
            case SimulationRun(done, measured, queued_ms):
                self.waited_ms += queued_ms
                self._compile_ms = done.compile_ms
                if measured is not None:
                    self._take_balances(measured.near, measured.tokens)

    async def report(self) -> PreflightReport:
        request = self._request
        facts = PlanFacts(
            signer_id=request.signer_id,
            calls=request.calls,
            accounts=await self._seen_accounts(),
            keys={key: _key_fact(await self._state.access_key(request.signer_id, key)) for key in self._keys},
            other_keys=len(self._all_keys) - len(self._keys),
            gas=tuple(bought_gas(self._config, request.signer_id, call) for call in request.calls),
            gas_price=max(self._block.gas_price, self._stated.min_gas_price),
            highest_gas_price=highest_gas_price(self._stated, self._block.gas_price),
            storage_amount_per_byte=self._stated.storage_amount_per_byte,
            answers=self._answers,
            measured=tuple(reading.burnt_gas for reading in self._readings if reading.simulated.result != "unknown"),
            known=self._known,
            paid_before=request.paid_before,
            price_impacts=request.price_impacts,
            used_codes=request.used_codes,
        )
        findings = judge_plan(facts)
        asks = [*findings.asks, *(reading.ask for reading in self._readings if reading.ask is not None)]
        if any(reading.simulated.result == "unknown" for reading in self._readings):
            asks.append("what it does could not be simulated")
        return PreflightReport(
            block_height=self._block.height,
            block_hash=self._block.hash,
            checks=(*findings.checks, *(reading.check for reading in self._readings), *self._balance_checks()),
            simulated=tuple(reading.simulated for reading in self._readings),
            balances=tuple(self._balances),
            asks=tuple(asks),
            rpc_calls=0,
            own_ms=0.0,
            compile_ms=self._compile_ms,
            contracts=tuple(
                self._contract(contract_id, facts.accounts.get(contract_id)) for contract_id in self._contracts
            ),
            unchecked=self._unsimulated or self._state.silent,
        )

    # ---- on the way

    async def _answer(self, need: Need) -> Given:
        began = time.perf_counter()
        try:
            return await self._state.answer(need)
        finally:
            self.waited_ms += (time.perf_counter() - began) * 1000

    def _read(self, job: Job, done: Done) -> Measure:
        """Read what was run, and name the balances to measure."""
        request = self._request
        block = BlockView.model_construct(height=self._block.height, hash=self._block.hash)
        for place, step in enumerate(done.steps):
            expected = request.expected[place] if place < len(request.expected) else ()
            call = request.calls[place]
            bought = execution_gas(self._config, call.actions, call.receiver_id)
            self._readings.append(read_step(step, place, call, job, block, expected, bought, self._known.tokens))
            self._answers.update(
                ((place, question), answer)
                for question, answer in zip(self._questions[place], step.probes, strict=False)
            )
        if done.unknown is not None:
            self._readings.append(unknown_step(len(done.steps), done.unknown))
        effects = [effect for effect in self._effects() if effect.token_id is None]
        near = [request.signer_id, *(effect.account_id for effect in effects if effect.token == NEAR)]
        tokens = [TokenOf(effect.account_id, AccountId(effect.token)) for effect in effects if effect.token != NEAR]
        ran = {ran.receipt.receiver_id for step in done.steps for ran in step.ran}
        tokens = [*(one for one in request.watched if one.contract_id in ran), *tokens]
        asked = (question for questions in self._questions for question in questions)
        tokens += [TokenOf(question.account_id, question.contract_id) for question in asked]
        self._near = tuple(dict.fromkeys(near))[:_MAX_BALANCES]
        self._tokens = tuple(dict.fromkeys(tokens))[:_MAX_BALANCES]
        return Measure(self._near, self._tokens)

    def _take_balances(
        self,
        near: Iterable[tuple[int | None, int | None]],
        tokens: Iterable[tuple[int | None, int | None]],
    ) -> None:
        gas = sum(reading.burnt_yocto for reading in self._readings)
        for account_id, (before, after) in zip(self._near, near, strict=False):
            if before is None or after is None:
                continue
            if account_id == self._request.signer_id:
                self._balances.append(Balance(account_id, NEAR, before, after + gas))
            else:  # a contract's reward for its gas is left out, as gas is
                self._balances.append(Balance(account_id, NEAR, before, before + self._moved(account_id, NEAR)))
        for item, (before, after) in zip(self._tokens, tokens, strict=False):
            if before is not None and after is not None:
                self._balances.append(Balance(item.account_id, item.contract_id, before, after))

    def _moved(self, account_id: AccountId, token: str) -> int:
        return sum(effect.change for effect in self._effects() if effect.place == (account_id, token, None))

    def _effects(self) -> Iterator[Effect]:
        for reading in self._readings:
            yield from reading.simulated.effects

    def _balance_checks(self) -> list[Check]:
        """Contracts can log what they like: what they say that they moved is held against their own balances."""
        checks: list[Check] = []
        for balance in self._balances:
            told = self._moved(balance.account_id, balance.token)
            if balance.change != told:
                told_text = self._known.amount(told, balance.token)
                found_text = self._known.amount(balance.change, balance.token)
                detail = f"for {balance.account_id}, its balance changes by {found_text}"
                checks.append(Check("logs", "unknown", f"{balance.token} tells of a change of {told_text} {detail}"))
        return checks

    async def _signing_key(self) -> PublicKey | None:
        """The first key that may sign the whole plan, else the first that is there."""
        first = await self._state.access_key(self._request.signer_id, self._keys[0]) if self._keys else None
        if not (isinstance(first, AccessKeyView) and isinstance(first.permission, FullAccess)):
            self._keys = self._held
        there: list[PublicKey] = []
        for key in self._keys:
            view = await self._state.access_key(self._request.signer_id, key)
            if not isinstance(view, AccessKeyView):
                continue
            there.append(key)
            try:
                for call in self._request.calls:
                    check_key(call, view.permission)
            except InvalidInput:
                continue
            return key
        return there[0] if there else None

    async def _seen_accounts(self) -> dict[AccountId, Seen]:
        request = self._request
        wanted = [request.signer_id, *(call.receiver_id for call in request.calls)]
        wanted += [move.recipient_id for call in request.calls for move in moves_of(call)]
        seen: dict[AccountId, Seen] = {}
        for account_id in dict.fromkeys(wanted):
            keys = await self._state.full_keys(account_id) if account_id in self._called else None
            seen[account_id] = _seen(await self._state.account(account_id), keys, self._block.height)
        return seen

    def _contract(self, contract_id: AccountId, seen: Seen) -> ContractSeen:
        if isinstance(seen, SeenAccount):
            return ContractSeen(contract_id, seen.code_hash, seen.full_access_keys)
        return ContractSeen(contract_id, None, None)


def _seen(view: AccountView | Unread | None, keys: FullKeys | Unread | None, height: int) -> Seen:
    match view:
        case None:
            return None
        case Unread(reason):
            return NotRead(reason)
        case AccountView():
            full = keys.count if isinstance(keys, FullKeys) else None
            earlier = keys.height if isinstance(keys, FullKeys) and keys.height != height else None
            code_hash = view.code_hash or view.global_contract_hash
            follows = view.global_contract_account_id
            return SeenAccount(view.amount, view.locked, view.storage_usage, code_hash, full, earlier, follows)


def _key_fact(view: AccessKeyView | Unread | None) -> AccessKeyView | NotRead | None:
    return NotRead(view.reason) if isinstance(view, Unread) else view
