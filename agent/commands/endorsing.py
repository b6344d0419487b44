"""`endorse`: an approver's own signature for a card that is above the signer's caps."""

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from agent.commands.exits import USAGE, CommandError, print_json, say, told
from agent.commands.keys import with_signer
from agent.commands.sessions import open_session
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, read_config

_MAX_FILE: Final = 65_536
_MAX_SHOWN: Final = 4_000


def endorse(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="Of the card")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    signature: Annotated[
        Path | None,
        typer.Option("--signature", help='A file with {"public_key": "ed25519:...", "signature": BASE64}'),
    ] = None,
) -> None:
    """Sign for a card above the signer's caps.

    Without --signature it shows the NEP-413 message that an approver signs with a wallet; with it, hands the signature in.
    """
    with told(as_json=as_json):
        if signature is not None:
            _hand_in(config, data_dir, request_id, signature, as_json=as_json)
            return
        with open_session(config, data_dir) as session:
            cards: list[dict[str, Any]] = session.cards()["cards"]
        card = next((card for card in cards if card["request_id"] == request_id), None)
        if card is None:
            raise CommandError(
                f"no card of request {request_id} waits; near-agent approve --list", USAGE, "no_such_card"
            )
        message, calls = _message(card), covered(card["calls"])
        if as_json:
            print_json({"card": card["text"], "calls": calls, "message": message})
            return
        say(
            f"{card['text']}\n\nWhat the signature covers, read from the calls themselves (deposits in yoctoNEAR); if the card "
            f"says anything else, sign nothing:\n{json.dumps(calls, indent=2)}\n\n"
            f"An approver signs this NEP-413 message:\n{json.dumps(message, indent=2)}"
        )


def covered(calls: Any) -> Any:
    """A card's calls with their arguments as text, long values as their hashes: the card's own words may be a lie."""
    match calls:
        case {"kind": "function_call", "args": str(args)}:
            return {**calls, "args": _argument_text(args)}
        case dict():
            return {name: covered(value) for name, value in cast("dict[str, Any]", calls).items()}
        case list():
            return [covered(value) for value in cast("list[Any]", calls)]
        case str() if len(calls) > _MAX_SHOWN:
            return f"{len(calls)} characters with sha256 {hashlib.sha256(calls.encode()).hexdigest()}"
        case _:
            return calls


def _argument_text(args: str) -> str:
    try:
        text = base64.b64decode(args, validate=True).decode()
    except ValueError:
        text = args
    return covered(text)


def _message(card: dict[str, Any]) -> dict[str, Any]:
    """The message over the hash of the card's calls, taken here from the calls themselves."""
    from pydantic import TypeAdapter

    from contracts.calls import ChangeCall
    from contracts.signing.approvals import approval_message
    from contracts.signing.transaction import calls_hash
    from contracts.types import AccountId

    calls = TypeAdapter(tuple[ChangeCall, ...]).validate_python(card["calls"])
    hashed = calls_hash(card["chain_id"], AccountId(card["account_id"]), calls)
    if hashed != card["calls_hash"]:
        raise CommandError("the card's hash is not that of its calls; sign nothing", USAGE, "hash_mismatch")
    made = approval_message(f"grant:{card['request_id']}", hashed, card["chain_id"], card["account_id"])
    return {
        "message": made.message,
        "recipient": made.recipient,
        "nonce": base64.b64encode(made.nonce).decode(),
        "callbackUrl": made.callback_url,
    }


def _hand_in(config: Path | None, data_dir: Path | None, request_id: str, file: Path, *, as_json: bool) -> None:
    settings = read_config(config, data_dir)
    from contracts.types import PublicKey

    with file.open("rb") as opened:
        raw = opened.read(_MAX_FILE)
    try:
        content: Any = json.loads(raw)
        public_key, signature = PublicKey(content["public_key"]), base64.b64decode(content["signature"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise CommandError(f"{file} holds no approver's signature: {error}", USAGE, "bad_signature") from None
    kept, needed = with_signer(settings, lambda signer: signer.endorse(f"grant:{request_id}", public_key, signature))
    if as_json:
        print_json({"kept": kept, "needed": needed})
        return
    say(f"{kept} of {needed} signatures are in; they are verified when the card is carried out")
