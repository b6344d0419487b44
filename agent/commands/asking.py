"""`ask` and `approve`: one request each."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from agent.commands.exits import USAGE, WAITS, CommandError, exit_code_of, print_json, say, told
from agent.commands.sessions import Session, open_session
from agent.commands.settings import MODEL, ConfigOption, DataDirOption, JsonOption, ModelOption
from agent.markup import plain

_CODE_LENGTH: Final = 8
_IS_DECISIVE: Final = re.compile(r"(?i)[0-9A-HJKMNP-TV-Z]{8}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

YesOption = Annotated[bool, typer.Option("--yes", help="Approve at once; on localnet only")]


def ask(
    text: Annotated[str, typer.Argument(help="What to do, in words or as a slash command; - reads it from stdin")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    yes: YesOption = False,
    model: ModelOption = MODEL,
) -> None:
    """Ask once and print the answer."""
    with told(as_json=as_json):
        words = sys.stdin.read() if text == "-" else text
        if not words.strip():
            raise CommandError("nothing was asked; write what to do, or /help", USAGE, "usage")
        with open_session(config, data_dir) as session:
            answer = session.complete([{"role": "user", "content": words}], None, model)
            if yes and answer["near_agent"]["status"] == "needs_approval":
                if not as_json:
                    show(answer)
                answer = approve_now(session, answer, model)
        finish(answer, as_json=as_json)


def approve(
    what: Annotated[str | None, typer.Argument(metavar="[CODE or REQUEST_ID]", help="Of the card")] = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    list_cards: Annotated[bool, typer.Option("--list", help="Show the cards that wait")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Cancel the card of REQUEST_ID instead of approving it")] = False,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="Approve as the holder of the API key in this file, not as operator"),
    ] = None,
) -> None:
    """Approve a card, or drop it.

    By its code, or by its request id: as the operator, or with an API key of one's own.
    """
    with told(as_json=as_json):
        if (what is None) != list_cards:
            raise CommandError("give a CODE or a REQUEST_ID, or --list to see the cards that wait", USAGE, "usage")
        with open_session(config, data_dir) as session:
            key = None if key_file is None else _key_in(key_file)
            if what is None:
                _list_cards(session.cards() if key is None else session.cards_as(key), as_json=as_json)
                return
            answer = _drop(session, what.strip(), key) if drop else _approve(session, what.strip(), key)
        finish(answer, as_json=as_json)


def approve_now(session: Session, answer: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The answer after an approval that the command line gives itself. CommandError off localnet."""
    facts = answer["near_agent"]
    if session.network != "localnet":
        raise CommandError(
            f"--yes approves on localnet only, this is {session.network}; look at the card and run: "
            f"near-agent approve {facts.get('confirm_code', facts['request_id'])}",
            WAITS,
            "needs_approval",
        )
    code = facts.get("confirm_code")
    if code is None:
        return session.approve(facts["request_id"])
    return session.complete([{"role": "user", "content": f"confirm {code}"}], None, model)


def text_of(answer: Mapping[str, Any]) -> str:
    """The answer as plain text for a terminal."""
    return plain(answer["choices"][0]["message"]["content"])


def show(answer: Mapping[str, Any]) -> None:
    say(text_of(answer))


def finish(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """Print an answer and end with its exit code."""
    if as_json:
        print_json({"text": text_of(answer), **answer["near_agent"]})
    else:
        show(answer)
    raise typer.Exit(exit_code_of(answer["near_agent"]))


def _approve(session: Session, what: str, key: str | None) -> dict[str, Any]:
    if key is not None:
        return session.approve_as(key, what)
    if not _IS_DECISIVE.fullmatch(what):
        raise CommandError(
            f"{what!r} is neither a card's code nor a request id; near-agent approve --list shows the cards that wait",
            USAGE,
            "usage",
        )
    if len(what) == _CODE_LENGTH:
        return session.complete([{"role": "user", "content": f"confirm {what}"}], None, MODEL)
    return session.approve(what)


def _drop(session: Session, what: str, key: str | None) -> dict[str, Any]:
    if key is not None or len(what) == _CODE_LENGTH or not _IS_DECISIVE.fullmatch(what):
        raise CommandError(
            "--drop takes a REQUEST_ID and no --key-file; approve --list shows the cards", USAGE, "usage"
        )
    return session.drop(what)


def _key_in(path: Path) -> str:
    key = path.read_text(encoding="utf-8", errors="replace").strip()
    if not key.isascii() or not key.isprintable() or not key:
        raise CommandError(f"{path} holds no API key; near-agent api-keys create makes one", USAGE, "no_key")
    return key


def _list_cards(found: Mapping[str, Any], *, as_json: bool) -> None:
    cards: list[dict[str, Any]] = found["cards"]
    damaged: list[str] = found.get("unreadable", [])  # those who approve with a key of their own see none
    if as_json:
        print_json({"cards": cards, "unreadable": damaged})
    elif not cards and not damaged:
        say("no card waits for approval")
    for request_id in () if as_json else damaged:
        say(f"The card of request {request_id} is damaged. To drop it, run: near-agent approve --drop {request_id}\n")
    for card in () if as_json else cards:
        say(f"{card['request_id']}  {card['account_id']}  until {card['expires_at']}\n{card['text']}")
        say(f"  To approve, run: near-agent approve {card['request_id']}\n")
