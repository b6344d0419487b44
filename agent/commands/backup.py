"""`backup` and `restore`: the database as one file. Keys are in none of it."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.commands.exits import USAGE, CommandError, print_json, say, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, find_data_dir

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup")]


def backup(
    file: FileArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Write a consistent copy of the database.

    Also while the daemon runs. The file (0600) holds records, ledger and approvals, no keys.
    """
    with told(as_json=as_json):
        folder = find_data_dir(config, data_dir)
        from agent.data_folder import DATABASE_NAME
        from agent.store.backup import backup_database

        with domain_errors():
            size = backup_database(folder / DATABASE_NAME, file.absolute())
        if as_json:
            print_json({"file": str(file), "bytes": size})
        else:
            say(f"{file}: {size} bytes. It holds no keys: they are kept apart, and are not in this file.")


def restore(
    file: FileArgument, config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False
) -> None:
    """Put a backup in the database's place.

    Not while a daemon runs. Approvals are void then, and what was open is looked up and never sent again by itself.
    """
    with told(as_json=as_json):
        folder = find_data_dir(config, data_dir)
        from agent.data_folder import DATABASE_NAME, FolderInUse, lock_folder
        from agent.store.backup import restore_database

        try:
            with domain_errors(), lock_folder(folder):
                restored = restore_database(file.absolute(), folder / DATABASE_NAME, clock=time.time)
        except FolderInUse as error:
            raise CommandError(str(error), USAGE, "already_running") from None
        facts: dict[str, Any] = {
            "voided_grants": restored.voided_grants,
            "cancelled_cards": restored.cancelled_cards,
            "for_review": [*restored.for_review],
            "given_up": restored.given_up,
            "api_keys": restored.api_keys,
            "previous": None if restored.previous is None else str(restored.previous),
        }
        if as_json:
            print_json(facts)
            return
        say(
            f"{file} is the database now. Every approval in it is void; {restored.cancelled_cards} cards were cancelled."
        )
        if restored.previous is not None:
            say(f"The database that was there is kept as {restored.previous}")
        if restored.for_review:
            say(f"{len(restored.for_review)} transactions may be on chain: they are looked up and never sent again.")
        say(f"{restored.api_keys} API keys are in force: near-agent api-keys list")
        say("A key that was used after the backup is blocked at the next start, until: near-agent keys acknowledge")
