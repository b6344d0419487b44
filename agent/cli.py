"""near-agent: the command line. Each command's options and answers are in `agent.commands`."""

from typing import Annotated

import typer

from agent.commands.api_keys import api_keys_app
from agent.commands.asking import approve, ask
from agent.commands.backup import backup, restore
from agent.commands.chain import localnet_app
from agent.commands.chatting import chat
from agent.commands.contract import contract_app
from agent.commands.doctor import doctor
from agent.commands.endorsing import endorse
from agent.commands.keys import keys_app
from agent.commands.lanes import acknowledge, cancel_tx
from agent.commands.log import log
from agent.commands.policy import policy_app
from agent.commands.running import run
from agent.commands.signer import signer
from agent.commands.verifying import verify

app = typer.Typer(
    name="near-agent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"near-agent {version('near-agent')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """Carries out what you write on NEAR: plans, asks for approval, signs and sends once, records."""


for command in (run, ask, chat, approve, log, doctor, signer, backup, restore, endorse, verify):
    app.command()(command)
app.command("cancel-tx")(cancel_tx)
keys_app.command("acknowledge")(acknowledge)
app.add_typer(api_keys_app, name="api-keys")
app.add_typer(contract_app, name="contract")
app.add_typer(keys_app, name="keys")
app.add_typer(policy_app, name="policy")
app.add_typer(localnet_app, name="localnet")


def main() -> None:
    """Entry of the program `near-agent`."""
    app()


if __name__ == "__main__":
    main()
