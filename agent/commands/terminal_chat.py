"""A conversation on a terminal: lines are read and answered until Ctrl-D, and a card asks whether it is to be sent."""

import re
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, Protocol

from agent.commands.editing import Wish
from agent.commands.exits import CommandError
from agent.commands.screen import Screen
from agent.commands.sessions import Session
from agent.commands.streamed import Answered, Began, Doing

ENDS: Final = ("/quit", "/exit")
GREETING: Final = "Write what to do, or /help. Tab completes, Ctrl-C clears the line, Ctrl-D or /quit leaves."
_CODE: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{8}")
_OFFERED: Final = re.compile(r"\bconfirm ([0-9A-HJKMNP-TV-Z]{8})\b")
_LATER: Final = "Nothing is sent. The card waits until it expires: /cards shows it again, /cancel all drops it."


class Lines(Protocol):
    """The source of lines (`agent.commands.editing`)."""

    def line(self) -> str:
        """KeyboardInterrupt for Ctrl-C, EOFError for Ctrl-D."""
        ...

    def wish(self) -> Wish:
        """Ask about the card that was just shown. Errors as `line`."""
        ...


class TerminalChat:
    """One conversation. What was said and answered is sent along with each request."""

    def __init__(self, session: Session, screen: Screen, lines: Lines, conversation_id: str, model: str) -> None:
        self._session = session
        self._screen = screen
        self._lines = lines
        self._conversation_id = conversation_id
        self._model = model
        self._messages: list[dict[str, str]] = []

    def hold(self) -> None:
        """Answer line after line until Ctrl-D or /quit. Ctrl-C drops a line, or the wait for an answer."""
        self._screen.note(GREETING)
        while True:
            try:
                line = self._lines.line().strip()
                if line in ENDS:
                    return
                if line:
                    self._turn(line)
            except KeyboardInterrupt:
                continue
            except EOFError:
                return

    def _turn(self, line: str) -> None:
        """A request, and what becomes of the card that it ends in. A new card in answer to "y" is asked about anew."""
        answer, sent = self._ask(line), ""
        while answer is not None and (code := code_of_card(answer)) not in {None, sent}:
            try:
                wish = self._lines.wish()
            except (KeyboardInterrupt, EOFError):
                self._screen.note(_LATER)
                raise
            match wish:
                case "later":
                    self._screen.note(_LATER)
                    return
                case "no":
                    self._ask(f"cancel {code}")
                    return
                case "yes":
                    sent = str(code)
                    answer = self._ask(f"confirm {code}")

    def _ask(self, text: str) -> dict[str, Any] | None:
        """Show a request's progress and its answer; None if there is none, or nobody waits for it any longer."""
        asked = [*self._messages, {"role": "user", "content": text}]
        began, doing, answer = "", None, None
        try:
            with (
                self._screen.progress() as progress,
                closing(self._session.stream(asked, self._conversation_id, self._model)) as events,
            ):
                for event in events:
                    match event:
                        case Began(request_id):
                            began = request_id
                        case Doing(words):
                            progress.doing(words)
                            doing = words
                        case Answered(found):
                            answer = found
        except CommandError as error:
            self._screen.error(str(error))
            return None
        except KeyboardInterrupt:
            self._screen.note(stopped_waiting(began, doing, self._session.goes_on))
            return None
        if answer is None or (began and answer["near_agent"]["request_id"] != began):
            self._screen.error("the answer is that of another request; near-agent log shows what was done")
            return None
        content = str(answer["choices"][0]["message"]["content"])
        self._messages = [*asked, {"role": "assistant", "content": content}]
        self._screen.answer(content, str(answer["near_agent"]["status"]))
        return answer


def code_of_card(answer: Mapping[str, Any]) -> str | None:
    """The code of the card that an answer is; None if it is none, or if what it shows is not exactly that code."""
    facts = answer["near_agent"]
    code = facts.get("confirm_code")
    if facts["status"] != "needs_approval" or not isinstance(code, str) or not _CODE.fullmatch(code):
        return None
    shown = set(_OFFERED.findall(answer["choices"][0]["message"]["content"]))
    return code if shown == {code} else None


def stopped_waiting(request_id: str, doing: str | None, goes_on: str) -> str:
    """The words after Ctrl-C during an answer: the request is not cancelled, and where its end can be seen."""
    named = f"Request {request_id} goes" if request_id else "If the request has arrived, it goes"
    at = f" (now: {doing})" if doing else ""
    return (
        f"Stopped waiting. {named} on {goes_on}{at}; Ctrl-C takes nothing back. "
        "To see what became of it: near-agent log, or /cards if it waits for approval."
    )
