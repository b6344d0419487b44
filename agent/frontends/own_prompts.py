"""Front ends' own prompts (titles, tags and the like), which need another answer than a person's words."""

from agent.planning.authorship import FrontEndPrompt, authorship, surroundings
from agent.records import UserRequest


def own_prompt(request: UserRequest) -> FrontEndPrompt | None:
    """Return the prompt that a front end wrote as the last user message; None if a person's words are in it.

    It is read from the body alone, so what the pipeline knows besides (recent requests) can only add to it.
    """
    newest = max((number for number, turn in enumerate(request.turns) if turn.role == "user"), default=0)
    earlier = request.turns[:newest]
    whose = authorship(
        request.text,
        surroundings(
            (turn.content for turn in request.turns if turn.role == "system"),
            (turn.content for turn in earlier if turn.role == "user"),
            (turn.content for turn in earlier if turn.role == "assistant"),
        ),
    )
    return whose if isinstance(whose, FrontEndPrompt) else None
