"""Print Markdown and the text that people are to see in it, as JSON, for renderers that are not written in Python.

    python -m tests.rendering.dump > pairs.json

`[{"markdown": ..., "visible": [line, ...]}, ...]`: one line for each paragraph and each item, in order. The only links are
to transactions in an explorer, the only emphasis is bold.
"""

import json
import sys
from collections.abc import Iterator

from agent.markup import ITEM, markdown, plain
from tests.rendering.drawing import HOSTILE


def pairs() -> Iterator[dict[str, str | list[str]]]:
    for text in texts():
        shown = markdown(text)
        yield {
            "markdown": shown,
            "visible": [line.removeprefix(ITEM) for line in plain(shown).split("\n") if line],
        }


def texts() -> Iterator[str]:
    """Each hostile text in each place of a text for people."""
    for hostile in HOSTILE:
        yield hostile
        yield f"Done: {hostile}.\n  {hostile}"
        yield f"Card of {hostile}:\n  send {hostile} to {hostile}\n  ⚠ Warning: {hostile}\nEnd “{hostile}” ({hostile})."


if __name__ == "__main__":
    json.dump([*pairs()], sys.stdout)
