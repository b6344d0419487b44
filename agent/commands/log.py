"""`log`: what was recorded, one line a request."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agent.commands.exits import DONE, CommandError, print_json, say, told
from agent.commands.settings import ConfigOption, DataDirOption, JsonOption, domain_errors, find_data_dir

if TYPE_CHECKING:
    from agent.records import InteractionRecord
    from agent.store.records import StoredRecord

_POLL_S: Final = 0.5
_PAGE: Final = 100
_MAX_LINE: Final = 100


def log(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest")] = 20,
) -> None:
    """Show the newest records."""
    with told(as_json=as_json):
        folder = find_data_dir(config, data_dir)
        import asyncio

        from agent.data_folder import DATABASE_NAME

        database = folder / DATABASE_NAME
        while not database.is_file():
            if not follow:
                raise CommandError(f"nothing is recorded yet in {folder}", DONE, "no_records")
            time.sleep(_POLL_S)
        with domain_errors():
            asyncio.run(_log(database, limit, follow=follow, as_json=as_json))


async def _log(database: Path, limit: int, *, follow: bool, as_json: bool) -> None:
    import asyncio

    from agent.store.store import open_store

    async with open_store(database) as store:
        found = await store.records.latest(limit)
        _show(found, as_json=as_json)
        seen = found[-1].seq if found else 0
        while follow:
            found = await store.records.latest(_PAGE, after=seen)
            _show(found, as_json=as_json)
            seen = found[-1].seq if found else seen
            if not found:
                await asyncio.sleep(_POLL_S)


def _show(found: "list[StoredRecord]", *, as_json: bool) -> None:
    for stored in found:
        if as_json:
            print_json(stored.record.model_dump(mode="json"))
        else:
            say(_line(stored.record))


def _line(record: "InteractionRecord") -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.request.received_at))
    asked = _short(record.request.text)
    told_text = _short(record.text)
    return f"{when}  {record.request.request_id}  {record.status:<18}  {asked}  ->  {told_text}"


def _short(text: str) -> str:
    """One line without control characters, cut to a readable length."""
    flat = "".join(character if character.isprintable() else " " for character in text)
    flat = " ".join(flat.split())
    return flat if len(flat) <= _MAX_LINE else flat[: _MAX_LINE - 1] + "…"
