"""Front ends' own prompts (titles, tags and the like), which need another answer than a person's words."""

from agent.planning.authorship import FrontEndPrompt, authorship, surroundings
from agent.planning.conversations import history, mask_request
from agent.records import UserRequest


def own_prompt(request: UserRequest) -> FrontEndPrompt | None:
    """Return the prompt that a front end wrote as the last user message, codes masked; None if a person's words are in it.

    It is read from the body alone. The pipeline also knows recent requests and answers, so what is a prompt here is one there.
    """
    masked = mask_request(request)
    whose = authorship(
        masked.text,
        surroundings(
            (turn.content for turn in masked.turns if turn.role == "system"),
            (turn.content for _, turn in history(masked) if turn.role == "user"),
            (),
        ),
    )
    return whose if isinstance(whose, FrontEndPrompt) else None
