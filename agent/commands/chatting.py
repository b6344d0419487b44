"""`chat`: a conversation, on a terminal with colours, completion and live progress, through a pipe line by line."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.commands.asking import show, text_of
from agent.commands.exits import CommandError, print_error, print_json, told
from agent.commands.sessions import Session, open_session
from agent.commands.settings import (
    MODEL,
    ConfigOption,
    DataDirOption,
    JsonOption,
    ModelOption,
    find_data_dir,
    wants_colours,
)
from agent.data_folder import HISTORY

if TYPE_CHECKING:
    from pathlib import Path

_ENDS = ("/quit", "/exit")


def chat(
    config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False, model: ModelOption = MODEL
) -> None:
    """Talk to the agent.

    On a terminal, Tab completes commands, arguments, accounts, tokens and names of the address book; a card asks whether
    to send it (y sends, n cancels, Enter leaves it waiting). Ctrl-C clears the line or stops waiting for an answer, Ctrl-D
    leaves. Through a pipe, or with --json, each line is a request, and `confirm CODE` approves a card.
    """
    with told(as_json=as_json), open_session(config, data_dir) as session:
        conversation_id = f"cli-{os.urandom(8).hex()}"
        if sys.stdin.isatty() and sys.stdout.isatty() and not as_json:
            _hold_on_terminal(session, conversation_id, model, find_data_dir(config, data_dir) / HISTORY)
        else:
            converse(session, conversation_id, model, _next_line, as_json=as_json)


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


def _hold_on_terminal(session: Session, conversation_id: str, model: str, history: "Path") -> None:
    # Heavy: pipes and other commands do without.
    import time

    from agent.commands.completing import NO_NAMES, Names
    from agent.commands.editing import Editor
    from agent.commands.screen import Screen
    from agent.commands.terminal_chat import TerminalChat

    def names() -> Names:
        try:
            return Names.read(session.names())
        except CommandError:
            return NO_NAMES  # the next request says what is wrong

    colours = wants_colours()
    screen = Screen(colours=colours, monotonic=time.monotonic)
    TerminalChat(session, screen, Editor(history, names, colours=colours), conversation_id, model).hold()


def _next_line() -> str | None:
    """The next line of standard input that holds something; None at the end."""
    while line := sys.stdin.readline():
        text = line.strip()
        if text in _ENDS:
            return None
        if text:
            return text
    return None
