"""What operators say of one transaction: how far it is, and how it ended. No end is believed on one operator's word.

A node can call bytes executed that never reached the chain, call a payment failed that was made, or invent what it did. So
an end counts when as many operators as are asked for tell the same one, each from its own receipts: success or the failure's
name, the block, every receipt with its logs and its gas, the returned value, and what all of that moved. How a failure is
worded is not compared, nodes of two versions differ there. Where only some serve receipts' bodies, what the bodies alone
tell is left out of the end, unless enough of them agree on it.

Each operator is asked at its own pace: who is slow or silent is still being asked while the others are asked again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

from contracts.chain.outcome import Effect, ExecutionFailed, Finalized, PartiallyExecuted
from contracts.chain.outcome_reader import read_outcome
from contracts.chain.quorum import Operators
from contracts.chain.rpc import RpcClient
from contracts.chain.rpc_types import BlockView
from contracts.chain.tx_answer import TxAnswer
from contracts.errors import RpcError
from contracts.groups import one_error
from contracts.rpc_meanings import about
from contracts.types import AccountId, CryptoHash

End: TypeAlias = Finalized | PartiallyExecuted | ExecutionFailed

_UNKNOWN: Final = "UNKNOWN_TRANSACTION"


@dataclass(frozen=True, slots=True)
class Asked:
    """What operators are asked about."""

    tx_hash: CryptoHash
    signer_id: AccountId
    expected: tuple[Effect, ...]
    needed: int
    """How many must tell the same end."""


@dataclass(frozen=True, slots=True)
class _Testimony:
    """An end as one operator tells it."""

    answer: TxAnswer
    block: BlockView
    end: End

    @property
    def bare(self) -> End:
        """Without the receipts' bodies, which not every node serves."""
        if self.answer.receipts is None:
            return self.end
        return read_outcome(self.answer.model_copy(update={"receipts": None}), self.block, self.end.execution.expected)


class Witnesses:
    """The operators' words about one transaction, kept as long as it is followed."""

    def __init__(
        self, group: asyncio.TaskGroup, operators: Operators, asked: Asked, on_claimed: Callable[[], None]
    ) -> None:
        self._group = group
        self._operators = operators
        self._asked = asked
        self._on_claimed = on_claimed
        self._asking: dict[str, asyncio.Task[_Testimony | TxAnswer | RpcError]] = {}
        self._told: dict[str, _Testimony] = {}
        self._last: dict[str, TxAnswer | RpcError] = {}
        """The last word of those who have told no end."""
        self._missed: set[str] = set()
        """Asked for an end and did not know the hash: asked next time whether they know it."""
        self._claims: dict[str, TxAnswer] = {}
        """Final answers of operators whose receipts could not be read yet."""
        self._claimed = False
        self.trouble: RpcError | None = None
        """The last error that was no word about the transaction."""

    def claim(self) -> None:
        """Somebody calls it final: from now on operators are asked how it ended."""
        if not self._claimed:
            self._claimed = True
            self._on_claimed()

    async def look(self, *, patience_s: float, few: bool = False) -> End | None:
        """Ask who has not told an end: everybody, or no more than are needed; what enough agree on, or None.

        Waits for the first answer, as long as reads may take, and for the others `patience_s` more.
        """
        # Who failed just now is asked last.
        asked = sorted(self._operators, key=lambda operator: not operator[1].pool.any_ready())
        asked = asked[: self._asked.needed] if few else asked
        if len(self._ends()) > 1:
            self._told.clear()  # one of them lies or errs: all are asked anew
        self._ask_them(asked)
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s if self._told else None
        while self._asking:
            left_s = None if until is None else max(0.0, until - loop.time())
            await asyncio.wait(self._asking.values(), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            answered = {name: task for name, task in self._asking.items() if task.done()}
            if not answered:
                break
            claimed = self._claimed
            for name, task in answered.items():
                del self._asking[name]
                self._note(name, task.result())
            end = self._agreed()
            if end is not None:
                return end
            if self._claimed and not claimed:
                self._ask_them(asked)
                until = None  # a new question: the patience begins with its first answer
            elif until is None:
                until = loop.time() + patience_s
        return None

    @property
    def furthest(self) -> TxAnswer | None:
        """The furthest that anybody knows of the hash; None where nobody knows it."""
        answers = [one.answer for one in self._told.values()]
        answers += [word for word in self._last.values() if isinstance(word, TxAnswer)]
        return max(answers, key=lambda answer: (answer.final, answer.included), default=None)

    @property
    def everyone_unaware(self) -> bool:
        """Every operator said last that it does not know the hash."""
        return len(self.unaware) == len(self._operators)

    @property
    def unaware(self) -> tuple[RpcClient, ...]:
        """Operators who said last that they do not know the hash."""
        return tuple(rpc for name, rpc in self._operators if _is_unknown(self._last.get(name)))

    def doubt(self) -> RpcError | None:
        """Why an end that somebody tells is not believed, with who said what; None where nobody tells one.

        `RPC_DISAGREE` where operators contradict one another, `RPC_QUORUM` where too few say anything.
        """
        if not self._told:
            return None
        ends = self._ends()
        heard = {*self._told, *self._last, *self._asking}
        words = [f"{name} {self._word(name)}" for name, _ in self._operators if name in heard]
        if len(ends) > 1 and len({_verdict(end) for end in ends}) == 1:
            words.append("they differ in what it did")
        contradicted = len(ends) > 1 or bool(self.unaware)
        why = "RPC operators disagree about its end" if contradicted else "too few RPC operators tell its end"
        return RpcError(
            "RPC_DISAGREE" if contradicted else "RPC_QUORUM",
            f"{why}: {'; '.join(words)}. It counts as neither done nor failed until {self._asked.needed} of them say the "
            "same. It is looked up again and never signed again",
            details={"operators": [name for name, _ in self._operators], "needed": self._asked.needed},
        )

    def leave(self) -> None:
        """Wait for nobody any more."""
        for task in self._asking.values():
            task.cancel()

    def _ask_them(self, operators: Operators) -> None:
        for name, rpc in operators:
            if name not in self._told and name not in self._asking:
                self._asking[name] = self._group.create_task(self._ask(name, rpc))

    async def _ask(self, name: str, rpc: RpcClient) -> _Testimony | TxAnswer | RpcError:
        try:
            if self._claimed:
                return await self._testimony(name, rpc)
            return await rpc.tx(self._asked.tx_hash, self._asked.signer_id)
        except RpcError as error:
            return error

    async def _testimony(self, name: str, rpc: RpcClient) -> _Testimony | TxAnswer:
        """The end with all receipts, or how far the operator knows it to be."""
        tx_hash, signer_id = self._asked.tx_hash, self._asked.signer_id
        earlier = told = self._claims.get(name)
        if told is None and name in self._missed:
            told = await rpc.tx(tx_hash, signer_id)
            if not told.final:
                return told
            self._claims[name] = told
        try:
            full = await rpc.experimental_tx_status(tx_hash, signer_id)
        except RpcError as error:
            # Asked a second time in vain: behind the address are nodes that know the transaction and nodes that do not.
            in_vain = _is_unknown(error) and earlier is not None and name in self._missed
            if _is_unknown(error):
                self._missed.add(name)
            if not (in_vain or no_receipts_here(error)):
                raise
            full = told if told is not None else await rpc.tx(tx_hash, signer_id)
        if not full.final or full.transaction_outcome is None:
            return full
        block = await rpc.block(full.transaction_outcome.block_hash)
        return _Testimony(full, block, read_outcome(full, block, self._asked.expected))

    def _note(self, name: str, word: _Testimony | TxAnswer | RpcError) -> None:
        match word:
            case _Testimony():
                self._told[name] = word
                self._last.pop(name, None)
                return
            case TxAnswer():
                if word.final and not self._claimed:
                    self._claims[name] = word
                    self.claim()
            case RpcError():
                if not _is_unknown(word):
                    self.trouble = word
            case _:
                assert_never(word)
        self._last[name] = word

    def _agreed(self) -> End | None:
        """What enough operators tell alike: with receipts' bodies where enough of them agree on those too."""
        needed, told = self._asked.needed, [*self._told.values()]
        if len(told) < needed:
            return None
        if needed == 1:
            return told[0].end
        for bare in _distinct(one.bare for one in told):
            alike = [one for one in told if _same(one.bare, bare)]
            full = [one.end for one in alike if one.answer.receipts is not None]
            for end in full:
                if sum(_same(end, other) for other in full) >= needed:
                    return end
            if len(alike) >= needed and len(_distinct(full)) <= 1:
                return bare
        return None

    def _ends(self) -> list[End]:
        """The different ends that are told."""
        told = self._told.values()
        full = _distinct(one.end for one in told if one.answer.receipts is not None)
        return full if len(full) > 1 else _distinct(one.bare for one in told)

    def _word(self, name: str) -> str:
        told, last = self._told.get(name), self._last.get(name)
        match told, last:
            case _Testimony(end=end), _:
                return f"says that it {_verdict(end)}"
            case None, TxAnswer():
                return "knows it and does not tell how it ended"
            case None, RpcError():
                return "does not know it" if _is_unknown(last) else f"gives no answer ({last.code})"
            case None, None:
                return "gives no answer"


@asynccontextmanager
async def open_witnesses(
    operators: Operators, asked: Asked, on_claimed: Callable[[], None] = lambda: None
) -> AsyncGenerator[Witnesses]:
    """Witnesses for as long as a transaction is followed; `on_claimed` is called when the first one calls it final."""
    with one_error():
        async with asyncio.TaskGroup() as group:
            witnesses = Witnesses(group, operators, asked, on_claimed)
            try:
                yield witnesses
            finally:
                witnesses.leave()


def _same(one: End, other: End) -> bool:
    """The same end, apart from the words of failures and the order in which receipts are told."""
    if _verdict(one) != _verdict(other) or replace(one.execution, receipts=()) != replace(other.execution, receipts=()):
        return False
    return _receipts(one) == _receipts(other)


def _receipts(end: End) -> set[tuple[object, ...]]:
    return {
        (told.receipt_id, told.executor_id, told.success, told.logs, told.gas_burnt, told.tokens_burnt)
        for told in end.execution.receipts
    }


def _distinct(ends: Iterable[End]) -> list[End]:
    found: list[End] = []
    for end in ends:
        if not any(_same(end, other) for other in found):
            found.append(end)
    return found


def _verdict(end: End) -> str:
    match end:
        case Finalized():
            return "succeeded"
        case PartiallyExecuted():
            return "succeeded in part"
        case ExecutionFailed(code=code):
            return f"failed ({code})"
        case _:
            assert_never(end)


def _is_unknown(word: TxAnswer | RpcError | None) -> bool:
    return isinstance(word, RpcError) and word.code == _UNKNOWN


def no_receipts_here(error: RpcError) -> bool:
    """The node, or the provider before it, does not serve EXPERIMENTAL_tx_status."""
    return about(error) == "provider" or error.code == "UNKNOWN_ERROR"
