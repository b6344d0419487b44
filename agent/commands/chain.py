"""`localnet`: the embedded chain alone, the making of its keys, and the moving on of its epochs."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from agent.commands.exits import FAILED, UNREACHABLE, USAGE, CommandError, print_json, say, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, read_config
from agent.data_folder import running_daemon

if TYPE_CHECKING:
    from agent.config import Config

_ANSWER_LIMIT_S: Final = 60.0

localnet_app = typer.Typer(
    invoke_without_command=True,
    help="Run the embedded chain alone; init makes its keys, advance-epochs moves a running one on.",
)


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
        from agent.commands.loading import loading

        with loading(settings):
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
                    epoch_length_blocks=settings.localnet.epoch_length_blocks,
                )
            )


@localnet_app.command("init")
def init(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Make the chain's keys and genesis file in the data folder; what is there is kept."""
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from contracts.localnet.init import genesis_path, init_localnet

        with domain_errors():
            init_localnet(settings.data_dir, settings.localnet.epoch_length_blocks)
        path = genesis_path(settings.data_dir)
        if as_json:
            print_json({"genesis": str(path)})
        else:
            say(f"{path} names the accounts; their keys are in {path.parent / 'credentials'}")


@localnet_app.command("advance-epochs")
def advance_epochs(
    count: Annotated[int, typer.Argument(min=1, max=100, help="How many epochs")] = 1,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the running localnet on by whole epochs: what was unstaked can be withdrawn after four."""
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        if settings.network != "localnet":
            raise CommandError(f"only localnet can be moved on; network is {settings.network}", USAGE, "not_localnet")
        url = _rpc_url(settings)
        length = int(_ask(url, "EXPERIMENTAL_protocol_config", {"finality": "final"})["epoch_length"])
        _ask(url, "sandbox_fast_forward", {"delta_height": count * length})
        now = _ask(url, "validators", [None])
        if as_json:
            print_json({"epoch_height": now["epoch_height"], "epoch_length": length, "advanced": count})
        else:
            say(f"{count} x {length} blocks further: epoch {now['epoch_height']}")


def _rpc_url(settings: "Config") -> str:
    """Where the chain answers: in the running daemon, at the configured address, or alone where it listens."""
    if settings.rpc_urls:
        return settings.rpc_urls[0]
    address = running_daemon(settings.data_dir)
    return address.rpc_url if address is not None else f"http://{settings.localnet.listen}"


def _ask(url: str, method: str, params: object) -> dict[str, Any]:
    import http.client

    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_ANSWER_LIMIT_S)
    body = json.dumps({"jsonrpc": "2.0", "id": "near-agent", "method": method, "params": params})
    try:
        connection.request("POST", where.path or "/", body, {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        todo = "start near-agent run or near-agent localnet first"
        raise CommandError(f"no chain answers at {url}: {error}; {todo}", UNREACHABLE, "no_chain") from None
    finally:
        connection.close()
    if "error" in answer:
        message = answer["error"].get("message", "refused")
        cause = answer["error"].get("cause", {}).get("name", "")
        if cause == "METHOD_NOT_FOUND":
            message = f"{url} offers no {method}; only a localnet that listens on loopback does"
        raise CommandError(message, FAILED, "not_moved")
    result: dict[str, Any] = answer["result"]
    return result
