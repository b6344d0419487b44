"""Draw cards and answers with many hostile texts in every place: `python -m tests.rendering.many [COUNT]`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from agent.frontends.replies import content
from agent.markup import markdown
from agent.telemetry import set_up_logging
from tests.rendering.drawing import check, hostile_texts
from tests.rendering.places import answers, cards, open_saying, outcomes


async def draw_all(count: int) -> int:
    """Check every place with so many texts; the number of texts for people that were drawn. AssertionError at the first fault."""
    drawn = 0
    with tempfile.TemporaryDirectory() as folder:
        async with open_saying(Path(folder)) as (agent, reads):
            for hostile in hostile_texts(count):
                for text in (*cards(hostile), *outcomes(hostile)):
                    check(markdown(text), text)
                    drawn += 1
                for reply in await answers(agent, reads, hostile):
                    check(content(reply), reply.text)
                    drawn += 1
    return drawn


def main() -> None:
    set_up_logging("error")
    count = int(sys.argv[1]) if sys.argv[1:] else 2000
    print(f"{asyncio.run(draw_all(count))} cards and answers with {count} hostile texts show what they say")


if __name__ == "__main__":
    main()
