"""Cards and answers with hostile text in every place, drawn: what people see is what the daemon meant.

`python -m tests.rendering.many 2000` does the same with as many texts as one likes.
"""

from pathlib import Path

from agent.frontends.replies import content
from agent.markup import markdown
from tests.rendering.drawing import check, hostile_texts
from tests.rendering.places import answers, cards, open_saying, outcomes

TEXTS = 300
ASKED = 40


def test_cards_and_outcomes_show_what_they_say() -> None:
    for hostile in hostile_texts(TEXTS):
        for text in (*cards(hostile), *outcomes(hostile)):
            check(markdown(text), text)


async def test_answers_of_the_pipeline_show_what_they_say(tmp_path: Path) -> None:
    kinds: set[str] = set()
    async with open_saying(tmp_path) as (agent, reads):
        texts = [*hostile_texts(TEXTS)]
        for hostile in texts[:: len(texts) // ASKED]:
            for reply in await answers(agent, reads, hostile):
                kinds.add(reply.status)
                check(content(reply), reply.text)
    assert kinds >= {"answered", "needs_approval", "refused", "clarify", "failed"}


def test_the_code_of_a_card_stands_in_a_paragraph_of_its_own() -> None:
    card, *_ = cards("a~~b")
    assert "\n\n`confirm 7Z4K9QXA`\n\n" in markdown(card)
    assert markdown(card).startswith("**Approval needed for request `")
