"""The loop of a client program: see `tests/clients/child_programs.py` for the lines."""

import json
import sys
from collections.abc import Callable
from typing import Any


def setup() -> dict[str, str]:
    """Read the first line: the daemon's address and the key."""
    return json.loads(sys.stdin.readline())


def serve(**operations: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer each line by the operation that it names; exceptions are the client's errors."""
    # Clients print on standard output what they like.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = operations[asked["op"]](asked)
        except Exception as error:  # noqa: BLE001 - whatever a client raises is what it shows
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
