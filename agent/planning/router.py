"""Who plans a request: nobody (slash commands, front ends' own prompts), the specialist, or the standard model. Pure."""

from agent.models.provider import Serving
from agent.planning.conversations import is_task_prompt
from agent.planning.slash import is_slash
from agent.records import ModelName, Route


def route(text: str, model: ModelName, serving: Serving) -> Route:
    """The way a text goes. Target `none` with model None for free text means that no model can take it."""
    if is_task_prompt(text):
        return Route(target="none", model=None, reason="a front end's own prompt, not a request")
    if is_slash(text):
        return Route(target="none", model=None, reason="a slash command")
    standard, specialist = serving.standard(), serving.specialist()
    names = (
        f"specialist: {specialist.model if specialist else 'not configured'}",
        f"standard: {standard.model if standard else 'not configured'}",
    )
    if model == "near-agent-standard":
        chosen, reason = standard, "near-agent-standard was asked for"
    elif model == "near-agent-specialist":
        chosen, reason = specialist, "near-agent-specialist was asked for"
    elif specialist:
        chosen, reason = specialist, "a specialist serves and plans first"
    else:
        chosen, reason = standard, "no specialist serves"
    if chosen is None:
        return Route(target="none", model=None, reason=f"{reason}, and no such model is configured", considered=names)
    return Route(target=chosen.target, model=chosen.model, reason=reason, considered=names)


def fall_back(first: Route, serving: Serving, why: str) -> Route | None:
    """The standard model's turn after a routed specialist's plan was not taken; None where there is no standard model."""
    standard = serving.standard()
    if standard is None:
        return None
    return Route(
        target="standard",
        model=standard.model,
        reason=f"the specialist's plan was not taken: {why}",
        considered=(f"specialist: {first.model}: {why}", f"standard: {standard.model}"),
    )
