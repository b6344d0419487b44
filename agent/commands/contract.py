"""`contract`: contracts whose methods become actions; an act of the person at the daemon's machine."""

from typing import Annotated, Any

import typer

from agent.commands.exits import print_json, say, told
from agent.commands.sessions import open_session
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption

contract_app = typer.Typer(no_args_is_help=True, help="Contracts whose methods are actions: add, list, remove.")

AccountArgument = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The contract's account id")]


@contract_app.command("add")
def add(
    account: AccountArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a contract's methods actions, pinned to its present code.

    They come from its ABI, or from the standards that its code's names satisfy. When its code changes they are off until
    it is added again.
    """
    with told(as_json=as_json), open_session(config, data_dir) as session:
        added = session.add_contract(account)
        if as_json:
            print_json(added)
            return
        _show(added)
        for name, reason in added["left_out"].items():
            say(f"  left out: {name}: {reason}")
        for warning in added["warnings"]:
            say(f"warning: {warning}")
        if added["symbol"]:
            say(f"It calls itself {added['symbol']}; the next start of the daemon knows it by that symbol.")
        say("Look at what it is before you use it: anybody can write any contract and any name.")


@contract_app.command("list")
def list_contracts(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show the added contracts and whether their code is still the one that was added."""
    with told(as_json=as_json), open_session(config, data_dir) as session:
        listed = session.contracts()
        if as_json:
            print_json(listed)
            return
        if not listed["contracts"]:
            say("no contract is added; near-agent contract add ACCOUNT")
        for contract in listed["contracts"]:
            _show(contract)
            if contract["unchanged"] is False:
                say("  its code has changed, so its actions are off: look at it and add it again")
            elif contract["unchanged"] is None:
                say("  whether its code is still this one is unknown: no node answered")


@contract_app.command("remove")
def remove(
    account: AccountArgument,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a contract's actions away."""
    with told(as_json=as_json), open_session(config, data_dir) as session:
        removed = session.remove_contract(account)
        if as_json:
            print_json(removed)
        else:
            say(f"{removed['account_id']} is removed; its actions are gone")


def _show(contract: dict[str, Any]) -> None:
    say(f"{contract['account_id']}  code {contract['code_hash']}")
    for action in contract["actions"]:
        say(f"  {action['usage']}  ({action['kind']})")
