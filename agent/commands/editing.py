"""The line that a person types: its editing, completion and history, and the question at a card."""

import sys
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import DummyHistory, History
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.output import ColorDepth

from agent.commands.completing import FreshNames, Names, completions
from contracts.knowledge.inert import printable
from contracts.private_files import append_private, write_private

PROMPT: Final = "> "
QUESTION: Final = "Send it? [y/N] "
_MAX_HISTORY: Final = 1000
_MAX_HISTORY_BYTES: Final = 1_048_576
_MAX_KEPT: Final = 4096
"""Characters of a line that is worth finding again."""
_YES: Final = ("y", "yes")
_NO: Final = ("n", "no")

Wish = Literal["yes", "no", "later"]


def may_keep(line: str) -> bool:
    """Whether a line may be written into the history: it holds neither a code nor what looks like a secret."""
    from agent.redaction.codes import shaped_codes
    from agent.redaction.texts import redact

    if line.strip().lower().startswith(("confirm ", "cancel ")) or any(True for _ in shaped_codes(line)):
        return False
    return redact(line)[1] == 0


class PrivateHistory(History):
    """The last thousand lines in a file of one's own, one a line, without codes and secrets; also none in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def append_string(self, string: str) -> None:
        if len(string) <= _MAX_KEPT and may_keep(string):
            super().append_string(string)

    def load_history_strings(self) -> Iterable[str]:
        lines: list[str] = []
        # A history that cannot be read or written is no reason to hold no conversation.
        with suppress(OSError):
            with self._path.open("rb") as file:
                file.seek(0, 2)
                size = file.tell()
                file.seek(max(size - _MAX_HISTORY_BYTES, 0))
                lines = file.read(_MAX_HISTORY_BYTES).decode("utf-8", "replace").splitlines()
            if len(lines) > 2 * _MAX_HISTORY or size > _MAX_HISTORY_BYTES:
                lines = lines[-_MAX_HISTORY:]
                write_private(self._path, "".join(f"{line}\n" for line in lines), durable=False)
        return [line for line in reversed(lines[-_MAX_HISTORY:]) if line.strip() and may_keep(line)]

    def store_string(self, string: str) -> None:
        with suppress(OSError):
            append_private(self._path, " ".join(string.split()))


class _Completer(Completer):
    def __init__(self, names: FreshNames) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        del complete_event
        for one in completions(document.text_before_cursor, self._names.now()):
            yield Completion(printable(one.text), -one.replaces, display_meta=printable(one.about))


@Condition
def _in_command() -> bool:
    """While somebody writes sentences, a menu below each word would be in the way; there Tab asks for it."""
    return get_app().current_buffer.text.startswith("/")


class Editor:
    """Reads lines from the terminal."""

    def __init__(self, history: Path, names: Callable[[], Names], *, colours: bool) -> None:
        self._names = FreshNames(names)
        depth = None if colours else ColorDepth.DEPTH_1_BIT
        self._lines: PromptSession[str] = PromptSession(
            PROMPT,
            history=PrivateHistory(history),
            completer=_Completer(self._names),
            complete_in_thread=True,
            complete_while_typing=_in_command,
            enable_suspend=True,
            reserve_space_for_menu=6,
            color_depth=depth,
        )
        self._questions: PromptSession[str] = PromptSession(QUESTION, history=DummyHistory(), color_depth=depth)

    def line(self) -> str:
        """The next line. KeyboardInterrupt for Ctrl-C, EOFError for Ctrl-D on an empty line."""
        self._names.forget()
        return self._lines.prompt()

    def wish(self) -> Wish:
        """Ask about the card above. Errors as `line`.

        What was typed before the card could be read does not count.
        """
        while True:
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
            clear_typeahead(self._questions.app.input)
            written = self._questions.prompt().strip().lower()
            if written in _YES:
                return "yes"
            if not written or written in _NO:
                return "no" if written else "later"
