"""`run`: the daemon."""

import typer

from agent.commands.exits import told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, read_config


def run(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Run the daemon.

    On localnet the embedded chain runs in it. Ctrl-C or SIGTERM ends it.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from agent.commands.loading import loading

        with loading(settings):
            import asyncio

            from agent.daemon import run_daemon
            from agent.telemetry import set_up_logging

        set_up_logging()
        with domain_errors():
            asyncio.run(run_daemon(settings, announce=typer.echo))
