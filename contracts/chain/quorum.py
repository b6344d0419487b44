"""One question to several operators: an answer counts when as many of them as are asked for give the same one.

A single node can lie or be behind. As long as fewer operators than that lie together, what enough of them say alike is so,
whatever another one says. Nothing is chosen where too few agree: a difference is an error with their names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from contracts.chain.rpc import RpcClient
from contracts.errors import RpcError
from contracts.groups import one_error
from contracts.rpc_meanings import about

Operators: TypeAlias = Sequence[tuple[str, RpcClient]]
"""Each operator's name and nodes."""

AnswerT = TypeVar("AnswerT")

_PATIENCE_S: Final = 1.0
"""After this another operator is asked as well, where there is one."""


@dataclass(frozen=True, slots=True)
class Question(Generic[AnswerT]):
    """`alike`: what answers must have in common. `shown`: an answer in a few words, for people."""

    about: str
    ask: Callable[[RpcClient], Awaitable[AnswerT]]
    alike: Callable[[AnswerT], object]
    shown: Callable[[AnswerT], str]


async def side_by_side(
    operators: Operators, ask: Callable[[RpcClient], Awaitable[AnswerT]]
) -> dict[str, AnswerT | RpcError]:
    """Each operator's answer, or its error, in their order."""
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_answer(rpc, ask)) for name, rpc in operators}
    return {name: task.result() for name, task in tasks.items()}


async def agreed(operators: Operators, needed: int, question: Question[AnswerT]) -> AnswerT:
    """The answer that `needed` operators give alike; an error that they give alike is raised.

    As many are asked side by side as are needed, further ones where one is silent, slow or says something else. RpcError
    `RPC_DISAGREE` where they differ, `RPC_QUORUM` where too few answer, an operator's own error where none does.
    """
    # Who failed just now is asked last.
    waiting = sorted(operators, key=lambda operator: not operator[1].pool.any_ready())
    said: dict[str, AnswerT | RpcError] = {}
    votes: tuple[str, ...] = ()
    with one_error():
        async with asyncio.TaskGroup() as group:
            asking: dict[asyncio.Task[AnswerT | RpcError], str] = {}
            more = needed
            while asking or waiting:
                for name, rpc in waiting[:more]:
                    asking[group.create_task(_answer(rpc, question.ask))] = name
                waiting = waiting[more:]
                done, _ = await asyncio.wait(
                    asking, timeout=_PATIENCE_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    said[asking.pop(task)] = task.result()
                votes = _most(said, question)
                if len(votes) >= needed:
                    break
                # For each one that is of no use another one; one more where all take their time.
                more = max(needed - len(votes) - len(asking), 0 if done else 1)
            for task in asking:
                task.cancel()
    return _verdict(said, votes, needed, question)


def is_silent(error: RpcError) -> bool:
    """The operator said nothing about the chain: it was not reached, is behind, has thrown the block away, or does not serve
    the question.
    """
    return about(error) != "chain"


async def _answer(rpc: RpcClient, ask: Callable[[RpcClient], Awaitable[AnswerT]]) -> AnswerT | RpcError:
    try:
        return await ask(rpc)
    except RpcError as error:
        return error


def _most(said: dict[str, AnswerT | RpcError], question: Question[AnswerT]) -> tuple[str, ...]:
    """Who gives the answer that is given most often."""
    spoken = {name: answer for name, answer in said.items() if not (isinstance(answer, RpcError) and is_silent(answer))}
    keys = {name: _key(answer, question) for name, answer in spoken.items()}
    groups = [tuple(other for other in keys if keys[other] == key) for key in keys.values()]
    return max(groups, key=len, default=())


def _key(answer: AnswerT | RpcError, question: Question[AnswerT]) -> object:
    if isinstance(answer, RpcError):
        return ("error", answer.code, answer.details.get("kind"))
    return ("answer", question.alike(answer))


def _verdict(
    said: dict[str, AnswerT | RpcError], votes: tuple[str, ...], needed: int, question: Question[AnswerT]
) -> AnswerT:
    if len(votes) >= needed:
        answer = said[votes[0]]
        if isinstance(answer, RpcError):
            raise answer
        return answer
    spoken = {name: answer for name, answer in said.items() if not (isinstance(answer, RpcError) and is_silent(answer))}
    if not spoken:
        raise next((error for error in said.values() if isinstance(error, RpcError)), _no_operator())
    told = "; ".join(
        f"{name} says {answer.code if isinstance(answer, RpcError) else question.shown(answer)}"
        for name, answer in spoken.items()
    )
    if len(spoken) > len(votes):
        raise RpcError(
            "RPC_DISAGREE",
            f"RPC operators disagree about {question.about}, so it is unknown: {told}. Nothing was signed. Find out which of "
            "them is wrong and take it out of the configuration",
            details={"operators": [*spoken]},
        )
    raise RpcError(
        "RPC_QUORUM",
        f"{len(spoken)} of {needed} RPC operators answered about {question.about} ({', '.join(spoken)}); nothing was signed. "
        "Try again, or add an address of another operator",
        retryable=True,
        details={"operators": [*spoken], "needed": needed},
    )


def _no_operator() -> RpcError:
    return RpcError("NO_NODES", "no RPC operator is configured", sent=False)
