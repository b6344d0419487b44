"""The views of a plan, carried out: what they answer in words, and what front ends show."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.answers import call_outcome, failed_view, rpc_text
from agent.building import Step
from agent.executor import Chain
from agent.records import CallOutcome
from contracts.errors import RpcError
from contracts.knowledge.inert import inert

_SHOWN_KEYS: Final = 3


@dataclass(frozen=True, slots=True)
class Written:
    """Views that were carried out: text, and what front ends show."""

    lines: list[str] = field(default_factory=list[str])
    outcomes: list[CallOutcome] = field(default_factory=list[CallOutcome])


async def look(chain: Chain, steps: Sequence[Step]) -> Written:
    """Every view of these steps, in order; one that the node refuses is told and the others go on."""
    written = Written()
    for step in steps:
        for view in step.views:
            try:
                returned = await chain.view(view)
            except RpcError as error:
                explained = step.entry.explain(step.args, error, step.context)
                written.lines.append(explained or rpc_text(f"/{step.entry.name}", error))
                written.outcomes.append(failed_view(step.entry.name, error))
            else:
                told = step.entry.answer(step.args, returned, step.facts, step.context)
                written.lines.append(told + _repeated(returned.repeated))
                written.outcomes.append(call_outcome(step.entry.name, returned))
    return written


def _repeated(keys: Sequence[str]) -> str:
    """A warning about an answer that can be read in two ways; nothing for other answers."""
    if not keys:
        return ""
    shown = ", ".join(f"“{inert(key, 40)}”" for key in keys[:_SHOWN_KEYS])
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return f"\n  warning: the answer repeats {shown}{more} in one object; the last value is shown, others may read the first"
