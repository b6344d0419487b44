"""The screen of a chat: answers in colours, wrapped at its width, and the progress of a request until it is answered.

Everything is written through `printable`: whatever stands in a text, it does not steer the terminal.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Final, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from agent.commands.layout import cells, wrap
from agent.markup import Run, shown_lines
from contracts.knowledge.inert import printable

_STYLES: Final = {"plain": "", "bold": "bold", "code": "cyan", "link": "underline cyan"}
_HEADS: Final = {
    "executed": "green",
    "needs_approval": "bold yellow",
    "clarify": "yellow",
    "unconfirmed": "bold magenta",
    "partially_executed": "bold red",
    "failed": "red",
    "declined": "yellow",
    "refused": "red",
    "unsupported": "yellow",
}
"""The style of an answer's first line, by its status."""
_SHOWN_STEPS: Final = 6
_QUIET_S: Final = 0.4
"""Most answers are there before it, and nothing flickers."""
_COUNTED_S: Final = 2.0
"""From here on the seconds are shown."""
_FRAMES_PER_SECOND: Final = 4.0


class Progress:
    """The steps of a request so far, drawn anew several times a second until it ends."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._steps: list[str] = []

    @property
    def last(self) -> str | None:
        return self._steps[-1] if self._steps else None

    def doing(self, text: str) -> None:
        """Note what is being done; the same again changes nothing."""
        if self.last != text:
            self._steps = [*self._steps[1 - _SHOWN_STEPS :], text]

    def lines(self, width: int) -> Iterator[str]:
        """The steps, one a line of at most `width` columns; the last with the seconds since the request began."""
        elapsed = self._monotonic() - self._began
        if elapsed < _QUIET_S:
            return
        steps = self._steps or ["Working"]
        for number, step in enumerate(steps, start=1):
            last = number == len(steps)
            seconds = f" ({elapsed:.0f} s)" if last and elapsed >= _COUNTED_S else ""
            yield f"{_cut(printable(' '.join(step.split())), width - len(seconds) - 3)}{'…' if last else ''}{seconds}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        for line in self.lines(options.max_width):
            yield Text(line, style="dim", no_wrap=True, overflow="crop")


class Screen:
    """A terminal. `colours=False` writes no colour and no other style, only what moves the cursor."""

    def __init__(self, *, colours: bool, monotonic: Callable[[], float], file: TextIO | None = None) -> None:
        self.colours = colours
        self._monotonic = monotonic
        self._console = Console(
            file=file, color_system="auto" if colours else None, highlight=False, markup=False, emoji=False
        )

    def answer(self, markdown: str, status: str) -> None:
        """Show an answer: its first line in the colour of its status, spans in theirs."""
        head = _HEADS.get(status, "")
        for indent, runs in shown_lines(markdown):
            for line in wrap(indent, [Run(printable(run.text), run.kind) for run in runs], self._console.width):
                self._write(line, head)
            head = ""

    def note(self, text: str) -> None:
        """Show a remark of the chat itself."""
        for line in wrap("", [Run(printable(text), "plain")], self._console.width):
            self._write(line, "dim")

    def error(self, text: str) -> None:
        for line in wrap("", [Run(printable(f"error: {text}"), "plain")], self._console.width):
            self._write(line, "red")

    @contextmanager
    def progress(self) -> Generator[Progress]:
        """Show a request's progress while it runs; it is gone afterwards."""
        progress = Progress(self._monotonic)
        with Live(
            progress,
            console=self._console,
            transient=True,
            refresh_per_second=_FRAMES_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        ):
            yield progress

    def _write(self, line: Sequence[Run], plain: str) -> None:
        text = Text()
        for kind, runs in groupby(line, key=lambda run: run.kind):
            text.append("".join(run.text for run in runs), plain if kind == "plain" else _STYLES[kind])
        self._console.print(text, soft_wrap=True)


def _cut(text: str, width: int) -> str:
    """The text within so many columns, an ellipsis at its end where it is longer."""
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return f"{text}…"
