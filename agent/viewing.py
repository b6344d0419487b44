"""The views of a plan, carried out: what they answer in words, and what front ends show."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.answers import call_outcome, failed_view, rpc_text
from agent.building import Step
from agent.executor import Chain
from agent.records import CallOutcome
from contracts.errors import RpcError


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
                written.lines.append(step.entry.answer(step.args, returned, step.facts, step.context))
                written.outcomes.append(call_outcome(step.entry.name, returned))
    return written
