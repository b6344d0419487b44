"""`chat`: a conversation on the terminal, with completion of slash commands and a history."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent.commands.asking import show, text_of
from agent.commands.exits import CommandError, print_error, print_json, say, told
from agent.commands.sessions import Session, open_session
from agent.commands.settings import MODEL, ConfigOption, DataDirOption, JsonOption, ModelOption, find_data_dir
from agent.data_folder import HISTORY

PROMPT: Final = "> "
_GREETING: Final = "Write what to do, or /help. /quit, an empty line or Ctrl-D ends the chat."
_MAX_HISTORY: Final = 1000
_WORDS: Final = ("confirm ", "cancel ", "/help", "/quit")
_ENDS: Final = ("/quit", "/exit")


def chat(
    config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False, model: ModelOption = MODEL
) -> None:
    """Talk to the agent. Tab completes slash commands and their arguments."""
    with told(as_json=as_json), open_session(config, data_dir) as session:
        conversation_id = f"cli-{os.urandom(8).hex()}"
        interactive = sys.stdin.isatty()
        if interactive:
            _set_up_line_editing(find_data_dir(config, data_dir))
            say(_GREETING)
        converse(session, conversation_id, model, _reader(interactive=interactive), as_json=as_json)


def converse(
    session: Session, conversation_id: str, model: str, read: Callable[[], str | None], *, as_json: bool
) -> None:
    """Answer line after line until `read` gives None. A request that fails is told and the chat goes on."""
    messages: list[dict[str, str]] = []
    while (line := read()) is not None:
        asked = [*messages, {"role": "user", "content": line}]
        try:
            answer = session.complete(asked, conversation_id, model)
        except CommandError as error:
            print_error(str(error))
            continue
        messages = [*asked, {"role": "assistant", "content": answer["choices"][0]["message"]["content"]}]
        if as_json:
            print_json({"text": text_of(answer), **answer["near_agent"]})
        else:
            show(answer)


def completions(text: str, line: str, data_dir: Path) -> list[str]:
    """What the word `text` at the end of `line` can become: a command, or an argument name of the line's command.

    Commands are those of this moment, with the actions of contracts that were added to this data folder.
    """
    from agent.operations.onboarding import catalogue_of

    catalogue = catalogue_of(data_dir)
    if line.lstrip() == text:
        words = [*_WORDS, *(f"/{name} " for name in catalogue)]
        return [word for word in words if word.startswith(text)]
    command = line.split(maxsplit=1)[0].removeprefix("/")
    if command == "help":
        return [f"{name} " for name in catalogue if name.startswith(text)]
    entry = catalogue.get(command) if line.lstrip().startswith("/") else None
    names = [] if entry is None else [f"{parameter.name}=" for parameter in entry.parameters]
    return [name for name in names if name.startswith(text) and f" {name}" not in line]


def _reader(*, interactive: bool) -> Callable[[], str | None]:
    def read() -> str | None:
        """The next line that holds something; None at the end (interactively also for an empty line)."""
        while True:
            try:
                line = input(PROMPT) if interactive else sys.stdin.readline()
            except EOFError:
                say()
                return None
            if line.strip() in _ENDS:
                return None
            if line.strip():
                return line.strip()
            if interactive or not line:
                return None

    return read


def _set_up_line_editing(data_dir: Path) -> None:
    try:
        import readline
    except ImportError:
        return
    import atexit

    found: list[str] = []
    history = data_dir / HISTORY

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            found[:] = completions(text, readline.get_line_buffer()[: readline.get_endidx()], data_dir)
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_MAX_HISTORY)
    with suppress(OSError):
        readline.read_history_file(history)
    atexit.register(_save_history, history)


def may_keep(line: str) -> bool:
    """Whether a line may be written into the history: it holds neither a code nor what looks like a secret."""
    from agent.redaction.texts import redact

    return not line.strip().lower().startswith(("confirm ", "cancel ")) and redact(line)[1] == 0


def _save_history(history: Path) -> None:
    import readline

    from contracts.private_files import make_private_file

    for place in range(readline.get_current_history_length(), 0, -1):
        line: Any = readline.get_history_item(place)
        if not may_keep(str(line)):
            readline.remove_history_item(place - 1)
    with suppress(OSError):
        make_private_file(history)
        readline.write_history_file(history)
