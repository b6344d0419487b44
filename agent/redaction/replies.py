"""A reply as the client that asked may see it: what came from contracts, nodes and models holds no secret either."""

from agent.records import Reply
from agent.redaction.texts import redact_answer, redact_answer_json


def redact_reply(reply: Reply) -> Reply:
    """The reply with secrets masked in its text, values and errors; the code of the requester's own card stays."""
    outcomes = tuple(
        outcome.model_copy(
            update={"value": redact_answer_json(outcome.value), "error": redact_answer_json(outcome.error)}
        )
        for outcome in reply.outcomes
    )
    error = None if reply.error is None else {key: redact_answer_json(value) for key, value in reply.error.items()}
    return reply.model_copy(update={"text": redact_answer(reply.text), "outcomes": outcomes, "error": error})
