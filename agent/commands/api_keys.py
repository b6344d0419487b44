"""`api-keys`: the bearer keys of clients. A key is printed once, when it is made."""

import time
from typing import Annotated

import typer

from agent.commands.exits import print_json, say, told
from agent.commands.sessions import open_session
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption

api_keys_app = typer.Typer(no_args_is_help=True, help="The keys of clients: create, list, revoke.")


@api_keys_app.command("create")
def create(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    account: Annotated[
        str | None, typer.Option("--account", help="Account it acts for [default: the first key's]")
    ] = None,
    may_confirm: Annotated[
        bool | None,
        typer.Option("--may-confirm/--may-not-confirm", help="Whether it sees codes [default: on localnet only]"),
    ] = None,
) -> None:
    """Make a key for a client and print it, this once."""
    with told(as_json=as_json), open_session(config, data_dir) as session:
        made = session.create_key(account, may_confirm)
        if as_json:
            print_json(made)
        else:
            say(made["api_key"])


@api_keys_app.command("list")
def list_keys(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show all keys by id, never the keys themselves."""
    with told(as_json=as_json), open_session(config, data_dir) as session:
        listed = session.api_keys()
        if as_json:
            print_json(listed)
            return
        for key in listed["api_keys"]:
            made = time.strftime("%Y-%m-%d", time.localtime(key["created_at"]))
            rights = "may confirm" if key["may_confirm"] else "may not confirm"
            ended = "" if key["revoked_at"] is None else "  revoked"
            say(f"{key['key_id']}  {key['account_id']}  made {made}  {rights}{ended}")


@api_keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key at once."""
    with told(as_json=as_json), open_session(config, data_dir) as session:
        ended = session.revoke_key(key_id)
        if as_json:
            print_json(ended)
        else:
            say(f"{key_id} is revoked")
