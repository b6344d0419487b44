"""Who plans a request: nobody (slash commands, front ends' own prompts), the specialist, or the standard model. Pure."""

from agent.models.provider import ModelProvider
from agent.planning.authorship import Authorship, FrontEndPrompt
from agent.planning.slash import is_slash
from agent.records import ModelName, Route


def route_without_model(whose: Authorship) -> Route | None:
    """The way of a text that no model is asked about; None for free text."""
    if isinstance(whose, FrontEndPrompt):
        return Route(target="none", model=None, reason="a front end's own prompt, not a request")
    if is_slash(whose.text):
        return Route(target="none", model=None, reason="a slash command")
    return None


def route_words(model: ModelName, standard: ModelProvider | None, specialist: ModelProvider | None) -> Route:
    """The way of free text. Target `none` where the model that would plan it is not configured."""
    considered = (
        f"specialist: {specialist.model if specialist else 'not configured'}",
        f"standard: {standard.model if standard else 'not configured'}",
    )
    match model:
        case "near-agent-standard":
            chosen, reason = standard, "near-agent-standard was asked for"
        case "near-agent-specialist":
            chosen, reason = specialist, "near-agent-specialist was asked for"
        case "near-agent" if specialist:
            chosen, reason = specialist, "a specialist serves and plans first"
        case "near-agent":
            chosen, reason = standard, "no specialist serves"
    if chosen is None:
        return Route(
            target="none", model=None, reason=f"{reason}, and no such model is configured", considered=considered
        )
    return Route(target=chosen.target, model=chosen.model, reason=reason, considered=considered)


def route_back(specialist: ModelProvider, standard: ModelProvider, why: str) -> Route:
    """The standard model's turn, after the specialist's plan was not taken."""
    return Route(
        target="standard",
        model=standard.model,
        reason=f"the specialist's plan was not taken: {why}",
        considered=(f"specialist: {specialist.model}: {why}", f"standard: {standard.model}"),
    )
