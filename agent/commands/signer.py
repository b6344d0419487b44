"""`signer`: the process that has the keys, on its own. The daemon starts one by itself; this is for a service of its own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.commands.exits import told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, read_config


def signer(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="Opens sealed keys at the start, e.g. /dev/fd/3")
    ] = None,
) -> None:
    """Hold the keys and sign what grants cover, until Ctrl-C or SIGTERM.

    A daemon on the same data folder uses it. Its caps are in DATA_DIR/signer/caps.toml.
    """
    with told(as_json=as_json):
        settings = read_config(config, data_dir)
        from contracts.signing.signer_process import run
        from contracts.signing.vault import KeyFolders

        folders = KeyFolders(
            settings.credentials_dir.absolute(),
            settings.network,
            (settings.data_dir / "signer").absolute(),
            settings.embedded,
        )
        with domain_errors():
            run(folders, lifeline=False, passphrase_file=passphrase_file or settings.keys.passphrase_file)
        sys.stdout.flush()
