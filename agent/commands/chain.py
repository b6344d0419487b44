"""`localnet`: the embedded chain alone, and the making of its keys."""

import typer

from agent.commands.exits import print_json, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, read_config

localnet_app = typer.Typer(invoke_without_command=True, help="Run the embedded chain alone; init makes its keys.")


@localnet_app.callback()
def localnet(
    context: typer.Context, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Run the embedded chain alone, until Ctrl-C or SIGTERM."""
    del as_json
    if context.invoked_subcommand is not None:
        return
    with told(as_json=False):
        settings = read_config(config, data_dir)
        import asyncio

        from agent.telemetry import set_up_logging
        from contracts.localnet.server import run_localnet

        set_up_logging()
        with domain_errors():
            asyncio.run(
                run_localnet(
                    settings.data_dir,
                    settings.localnet.listen,
                    finality_lag_blocks=settings.localnet.finality_lag_blocks,
                    heartbeat_s=settings.localnet.heartbeat_s,
                )
            )


@localnet_app.command("init")
def init(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Make the chain's keys and genesis file in the data folder; what is there is kept."""
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from contracts.localnet.init import genesis_path, init_localnet

        with domain_errors():
            init_localnet(settings.data_dir)
        path = genesis_path(settings.data_dir)
        if as_json:
            print_json({"genesis": str(path)})
        else:
            print(f"{path} names the accounts; their keys are in {path.parent / 'credentials'}")
