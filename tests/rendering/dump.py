"""Print Markdown and the text that people are to see in it, as JSON, for renderers that are not written in Python.

    python -m tests.rendering.dump [COUNT] > pairs.json

`[{"markdown": ..., "visible": [line, ...]}, ...]`: one line for each paragraph and each item, in order. The only links are
to transactions in an explorer, the only emphasis is bold. COUNT hostile texts (the table by default) stand in every place
of cards and of outcomes.
"""

import json
import sys
from collections.abc import Iterator

from agent.markup import ITEM, markdown, plain
from tests.rendering.drawing import HOSTILE, hostile_texts
from tests.rendering.places import cards, outcomes


def pairs(count: int) -> Iterator[dict[str, str | list[str]]]:
    for hostile in hostile_texts(count):
        texts = (
            hostile,
            f"Done: {hostile}.\n  {hostile}",
            f"Card of {hostile}:\n  send {hostile} to {hostile}\n  ⚠ Warning: {hostile}\nEnd “{hostile}” ({hostile}).",
            *cards(hostile),
            *outcomes(hostile),
        )
        for shown in dict.fromkeys(map(markdown, texts)):
            visible: list[str] = [line.removeprefix(ITEM) for line in plain(shown).split("\n") if line]
            yield {"markdown": shown, "visible": visible}


if __name__ == "__main__":
    json.dump([*pairs(int(sys.argv[1]) if sys.argv[1:] else len(HOSTILE))], sys.stdout)
