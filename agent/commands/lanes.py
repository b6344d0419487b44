"""`cancel-tx` and `keys acknowledge`: what a person decides about a transaction, or a key, of which the ledger is in doubt."""

from typing import Annotated

import typer

from agent.commands.asking import finish
from agent.commands.exits import print_json, say, told
from agent.commands.sessions import open_session
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption


def cancel_tx(
    what: Annotated[str, typer.Argument(metavar="REQUEST_ID or TX_HASH", help="What is not confirmed")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a transaction of unknown end.

    Sends a fence: 0 NEAR to oneself with the same key and nonce. Only one of the two can be executed.
    """
    with told(as_json=as_json):
        with open_session(config, data_dir) as session:
            answer = session.cancel_tx(what.strip())
        finish(answer, as_json=as_json)


def acknowledge(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account id")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Public key, ed25519:...")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on signing with a key that something else has used.

    Look at the account's transactions first: what they did is not in this ledger. The account's pending cards are cancelled,
    because one of them may have been carried out already.
    """
    with told(as_json=as_json):
        with open_session(config, data_dir) as session:
            answer = session.acknowledge_key(account, key)
        if as_json:
            print_json(answer)
            return
        for lane in answer["lanes"]:
            say(f"{answer['account_id']}  {lane['lane']}  goes on above nonce {lane['nonce']}")
        say(f"{answer['voided_cards']} pending cards were cancelled")
