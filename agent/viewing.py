"""The views of a plan, carried out: what they answer in words, and what front ends show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent.answers import call_outcome, failed_view, rpc_text
from agent.building import Step
from agent.executor import Chain
from agent.records import CallOutcome
from contracts.calls import ChangeCall, ViewCall
from contracts.chain.outcome import ViewReturned
from contracts.errors import RpcError
from contracts.knowledge.facts import out_of_gas
from contracts.knowledge.inert import inert

_SHOWN_KEYS: Final = 3


@dataclass(frozen=True, slots=True)
class Written:
    """Views that were carried out: text, and what front ends show."""

    lines: list[str] = field(default_factory=list[str])
    outcomes: list[CallOutcome] = field(default_factory=list[CallOutcome])


async def look(chain: Chain, steps: Sequence[Step]) -> Written:
    """Carry out every view of these steps, in order; one that the node refuses is told and the others go on."""
    written = Written()
    for step in steps:
        for view in step.views:
            try:
                args, returned = await _ask(chain, step, view)
            except RpcError as error:
                explained = step.entry.explain(step.args, error, step.context)
                written.lines.append(explained or rpc_text(f"/{step.entry.name}", error))
                written.outcomes.append(failed_view(step.entry.name, error))
            else:
                told = step.entry.answer(args, returned, step.facts, step.context)
                fewer = (
                    "" if args is step.args else "\n  Fewer were asked for at once: more are too many for one answer."
                )
                written.lines.append(told + fewer + _repeated(returned.repeated))
                written.outcomes.append(call_outcome(step.entry.name, returned))
    return written


async def _ask(chain: Chain, step: Step, view: ViewCall) -> tuple[Any, ViewReturned]:
    """Return the answer and the arguments it is for: those of smaller views while a view takes too much.

    An entry's `smaller` ends after a few steps, so that the number of views is bounded.
    """
    args = step.args
    while True:
        try:
            returned = await chain.view(view)
        except RpcError as error:
            fewer = step.entry.smaller(args) if out_of_gas(error) else None
            if fewer is None:
                raise
        else:
            fewer = None if returned.cut is None else step.entry.smaller(args)
            if fewer is None:
                return args, returned
        args = fewer
        (view,) = (
            call for call in step.entry.build(args, step.facts, step.context).calls if not isinstance(call, ChangeCall)
        )


def _repeated(keys: Sequence[str]) -> str:
    """A warning about an answer that can be read in two ways; nothing for other answers."""
    if not keys:
        return ""
    shown = ", ".join(f"“{inert(key, 40)}”" for key in keys[:_SHOWN_KEYS])
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"\n  warning: the answer repeats {shown}{more} in one object; the last value is shown, others may read the first"
