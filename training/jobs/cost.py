"""What a run would cost: tokens of a training file, and money where a price is configured.

Counts follow OpenAI's published rule for chat messages and tools (3 tokens a message, 3 for the reply; tools by name,
description and properties): an estimate, never a bill. Models with other tokenizers are counted the same way and said so.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.data.formats import Line

ENCODINGS = (
    ("gpt-4o", "o200k_base"),
    ("gpt-4.1", "o200k_base"),
    ("gpt-5", "o200k_base"),
    ("gpt-6", "o200k_base"),
    ("o1", "o200k_base"),
    ("o3", "o200k_base"),
    ("o4", "o200k_base"),
    ("gpt-4", "cl100k_base"),
    ("gpt-3.5", "cl100k_base"),
)
"""First prefix that fits wins; tiktoken's own table maps `ft:gpt-4.1...` wrongly and does not know newer models."""
DOWNLOAD_LIMIT_S = 30
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Estimate:
    lines: int
    tokens: int
    """Of one epoch."""
    epochs: int
    how: str
    """How the tokens were counted."""
    price: float | None
    """In the currency of the configured price; None without one."""

    @property
    def trained_tokens(self) -> int:
        return self.tokens * self.epochs


def estimate(lines: Sequence[Line], model: str, epochs: int | str, price_per_million: float | None) -> Estimate:
    """Tokens and price of training on these lines; `auto` epochs are taken as 3, as providers choose for small files."""
    count, how = counter(model)
    tokens = sum(line_tokens(line, count) for line in lines)
    rounds = epochs if isinstance(epochs, int) else 3
    price = None if price_per_million is None else tokens * rounds * price_per_million / 1_000_000
    return Estimate(len(lines), tokens, rounds, how, price)


def line_tokens(line: Line, count: Callable[[str], int]) -> int:
    """Tokens of one example: messages, tool calls and tool definitions."""
    total = 3
    for message in line.messages:
        total += 3 + count(message.role)
        content = message.content
        total += count(content if isinstance(content, str) else json.dumps(content)) if content else 0
        for call in message.tool_calls or []:
            total += count(call.function.name) + count(call.function.arguments)
    return total + sum(count(json.dumps(tool)) for tool in line.tools or [])


def counter(model: str) -> tuple[Callable[[str], int], str]:
    """A token counter for a model and a sentence on how it counts; an estimate by length where no ranks can be had."""
    name = model.removeprefix("ft:").rpartition("/")[2]
    encoding = next((encoding for prefix, encoding in ENCODINGS if name.startswith(prefix)), None)
    how = f"tiktoken {encoding}" if encoding else "tiktoken o200k_base, not this model's own tokenizer"
    chosen = encoding or "o200k_base"
    if not _ranks_available(chosen):
        return _by_length, f"about {CHARACTERS_PER_TOKEN} characters a token: tiktoken's rank files are not available"
    import tiktoken  # loads tens of megabytes: only where tokens are counted

    ranks = tiktoken.get_encoding(chosen)
    return (lambda text: len(ranks.encode_ordinary(text))), how


def _by_length(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _ranks_available(encoding: str) -> bool:
    """Whether tiktoken can load its ranks. It fetches them without a time limit, so a child process tries first."""
    probe = [sys.executable, "-c", f"import tiktoken; tiktoken.get_encoding({encoding!r})"]
    try:
        done = subprocess.run(probe, capture_output=True, check=False, timeout=DOWNLOAD_LIMIT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
