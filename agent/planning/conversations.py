"""What a conversation is worth: whose words it holds, and what in it must not be seen again.

Front ends send the whole history back with every turn. Codes and cards in it are masked before a prompt, a log or a record
sees them; of the turns only the user's own count as the requester's words, and of those only a person's (see `authorship`).
"""

import hashlib
import json
import re
from collections.abc import Collection
from typing import Final

from agent.planning.authorship import spoken
from agent.planning.card_words import CARD_BEGIN, CARD_ENDS, CARD_MASK
from agent.records import Turn, UserRequest
from agent.redaction.codes import blank, known_codes, shaped_codes

HISTORY_TURNS: Final = 12
"""Earlier turns that a model is shown, and that count as the requester's words."""
TURN_CHARACTERS: Final = 2000
"""What of each of them."""

KEPT_MESSAGE_CHARACTERS: Final = 70_000
"""Of each message; commands and prompts refuse before it (65,536 and 16,000)."""
_MARK_ROOM: Final = 64
"""Characters by which a message that was cut already may be longer, so that cutting again changes nothing."""
KEPT_CHARACTERS: Final = 262_144
"""Of a conversation, its newest messages. A client may send 4 MiB; no more than this is searched for codes and secrets."""

_CARD = re.compile(
    r"(?:\*\*)?" + re.escape(CARD_BEGIN) + r"`?([^\s`]{1,64})\b.*?(?:" + "|".join(map(re.escape, CARD_ENDS)) + r"|\Z)",
    re.DOTALL,
)


def mask_text(text: str) -> str:
    """The text with everything blanked that looks like a confirmation code; its length does not change."""
    return blank(text, (place for span in shaped_codes(text) for place in range(*span)))


def mask_codes(request: UserRequest, codes: Collection[str]) -> UserRequest:
    """The request with these codes blanked, however they are written."""
    turns = tuple(
        turn.model_copy(update={"content": blank(turn.content, known_codes(turn.content, codes))})
        for turn in request.turns
    )
    return request.model_copy(update={"text": blank(request.text, known_codes(request.text, codes)), "turns": turns})


def mask_cards(text: str) -> str:
    """The text with whole cards replaced by the request id they were for, and the other codes blanked."""
    return mask_text(_CARD.sub(lambda found: f"{CARD_MASK}{found[1]}]", text))


def bounded(request: UserRequest) -> UserRequest:
    """The request with its newest messages only, and of each its beginning; nothing that is looked at later is left out."""
    text, size, first = request.text, 0, len(request.turns)
    while first > 0 and size < KEPT_CHARACTERS:
        first -= 1
        size += min(len(request.turns[first].content), KEPT_MESSAGE_CHARACTERS) + 1
    if first == 0 and not any(map(_is_long, (text, *(turn.content for turn in request.turns)))):
        return request
    turns = tuple(Turn(role=turn.role, content=_beginning(turn.content)) for turn in request.turns[first:])
    left_out = request.turns_left_out + first
    return request.model_copy(update={"text": _beginning(text), "turns": turns, "turns_left_out": left_out})


def _beginning(text: str) -> str:
    return f"{text[:KEPT_MESSAGE_CHARACTERS]}… ({len(text)} characters)" if _is_long(text) else text


def _is_long(text: str) -> bool:
    return len(text) > KEPT_MESSAGE_CHARACTERS + _MARK_ROOM


def mask_request(request: UserRequest) -> UserRequest:
    """The request as prompts, logs and records may see it."""
    request = bounded(request)
    turns = tuple(Turn(role=turn.role, content=mask_cards(turn.content)) for turn in request.turns)
    return request.model_copy(update={"text": mask_cards(request.text), "turns": turns})


def history(request: UserRequest) -> tuple[tuple[int, Turn], ...]:
    """The turns before the request that are looked at: index and turn, the oldest first, long ones cut."""
    users = [number for number, turn in enumerate(request.turns) if turn.role == "user"]
    last = users[-1] if users else len(request.turns)
    earlier = list(enumerate(request.turns[:last]))[-HISTORY_TURNS:]
    return tuple((number, _cut(turn)) for number, turn in earlier)


def own_words(request: UserRequest) -> tuple[tuple[int, str], ...]:
    """The requester's own turns, newest first: index in `request.turns` and text. Front ends' own prompts are left out.

    A request whose turns lack its text (a command line's single line) has that text as turn 0.
    """
    newest = max((number for number, turn in enumerate(request.turns) if turn.role == "user"), default=0)
    earlier = [(number, spoken(turn.content)) for number, turn in history(request) if turn.role == "user"]
    turns = [*((number, words) for number, words in earlier if words is not None), (newest, request.text)]
    return tuple(reversed(turns))


def _cut(turn: Turn) -> Turn:
    if len(turn.content) <= TURN_CHARACTERS:
        return turn
    return turn.model_copy(update={"content": turn.content[:TURN_CHARACTERS] + "…"})


def turn_hash(request: UserRequest) -> str:
    """Names one turn of one requester in one conversation: sha256 (hex) over the user's turns up to now.

    The same conversation sent again (regenerate, a second tab, a retry) has the same hash; assistants' turns do not count,
    because a regenerated one differs.
    """
    users = [turn.content for turn in request.turns if turn.role == "user"] or [request.text]
    spoken = json.dumps(
        [request.identity.key_id, request.conversation_id, users, request.turns_left_out], ensure_ascii=False
    )
    return hashlib.sha256(spoken.encode("utf-8", "surrogatepass")).hexdigest()
