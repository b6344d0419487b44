"""A recording of `near-agent chat` on the embedded chain, in asciinema's format: python -m tests.recording docs/chat.cast

Its times are made up, a pause before each line and a moment for each thing that is written, so that it plays at a reader's pace.
Format: https://docs.asciinema.org/manual/asciicast/v2/
"""

import codecs
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.e2e.programs import CLI, daemon, environment
from tests.terminal import CTRL_C, CTRL_D, ENTER, TAB, Terminal, terminal

COLUMNS: Final = 92
ROWS: Final = 56
_PAUSE_S: Final = 1.5
_MOMENT_S: Final = 0.08
_POLICY: Final = """version = 1
[address_book]
robert = "bob.localnet"
"""


class _Cast:
    """The output of a terminal, with the time of each piece."""

    def __init__(self, shown: Terminal) -> None:
        self._shown = shown
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._taken = 0
        self._now = 0.0
        self.events: list[tuple[float, str, str]] = []

    def type(self, keys: str) -> None:
        """Type at a person's pace."""
        self.pause()
        for key in keys:
            echoed = len(self._shown.written)
            self._shown.type(key)
            self._shown.until(lambda _, echoed=echoed: len(self._shown.written) > echoed)
            self.take()

    def pause(self) -> None:
        self.take()
        self._now += _PAUSE_S

    def take(self) -> None:
        """Add what was written meanwhile."""
        for piece in self._shown.pieces[self._taken :]:
            self._now += _MOMENT_S
            self.events.append((round(self._now, 2), "o", self._decoder.decode(piece)))
        self._taken = len(self._shown.pieces)

    def text(self, columns: int, rows: int) -> str:
        header = {"version": 2, "width": columns, "height": rows, "title": "near-agent chat"}
        return "".join(f"{json.dumps(line)}\n" for line in (header, *self.events))


def record(folder: Path) -> str:
    """The recording of one conversation with a new daemon in this folder: completion, a card that is sent, one that is not."""
    data = folder / "data"
    data.mkdir(mode=0o700)
    (data / "policy.toml").write_text(_POLICY, encoding="utf-8")
    # Final three blocks later, so that a transaction is seen to settle.
    slow = {"NEAR_AGENT_LOCALNET__FINALITY_LAG_BLOCKS": "3", "NEAR_AGENT_LOCALNET__HEARTBEAT_S": "1"}
    with (
        daemon(data, more=slow),
        terminal((*CLI, "chat"), environment(data), folder, columns=COLUMNS, rows=ROWS) as shown,
    ):
        cast = _Cast(shown)
        shown.at_prompt()
        cast.type("/near_transfer ro")
        shown.until("(address book)")
        cast.type(TAB)
        shown.until("> /near_transfer robert")
        cast.type("1.5" + ENTER)
        shown.at_prompt("Send it? [y/N]")
        cast.type("y" + ENTER)
        shown.until("Done: ")
        shown.at_prompt()
        cast.type("/ft_transfer USDC carol.localnet 2" + ENTER)
        shown.at_prompt("Send it? [y/N]")
        cast.type("n" + ENTER)
        shown.until("was cancelled")
        shown.at_prompt()
        cast.type("a line to forget" + CTRL_C)
        shown.at_prompt()
        cast.pause()
        shown.type(CTRL_D)
        shown.ended()
        cast.take()
        return cast.text(COLUMNS, ROWS)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(sys.argv[1]).write_text(record(Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
