"""`policy check` and `policy explain`: what a policy says, and what it said of a request."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.exits import USAGE, CommandError, print_json, say, told
from agent.commands.settings import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    domain_errors,
    find_data_dir,
    read_config,
)

if TYPE_CHECKING:
    from agent.records import InteractionRecord

policy_app = typer.Typer(no_args_is_help=True, help="Look at the policy that decides what may be sent.")


@policy_app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="The policy's file")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
    network: Annotated[str | None, typer.Option(help="Whose tokens it names [default: the configured network]")] = None,
) -> None:
    """Say what a policy allows, asks and denies, or everything that is wrong in it."""
    with told(as_json=as_json):
        from agent.policy_loading import read_policy
        from contracts.checks.policy_words import summary
        from contracts.knowledge.registry import NETWORKS, Registry

        chosen = NETWORKS.get(network or read_config(config, data_dir).network)
        if chosen is None:
            known = ", ".join(NETWORKS)
            raise CommandError(f"there is no network {network!r}; write one of: {known}", USAGE, "usage")
        with domain_errors():
            policy = read_policy(file, Registry.for_network(chosen))
        words, later = summary(policy), _is_newer_than_daemon(file, find_data_dir(config, data_dir))
        if as_json:
            print_json({"ok": True, "summary": words.splitlines(), "needs_restart": later})
            return
        say(words)
        if later:
            say("The running daemon was started before this file was written; a policy counts from the next start.")


@policy_app.command("explain")
def explain(
    request_id: Annotated[str, typer.Argument(help="As `near-agent log` shows it")],
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which rules decided about a request."""
    with told(as_json=as_json):
        import asyncio

        from agent.data_folder import DATABASE_NAME

        database = find_data_dir(config, data_dir) / DATABASE_NAME
        with domain_errors():
            record = asyncio.run(_record(database, request_id)) if database.is_file() else None
        if record is None:
            raise CommandError(
                f"no request {request_id} is recorded; near-agent log shows those that are", USAGE, "not_found"
            )
        if as_json:
            verdict = None if record.verdict is None else record.model_dump(mode="json")["verdict"]
            print_json({"request_id": request_id, "status": record.status, "verdict": verdict})
        else:
            say("\n".join(_explained(record)))


def _is_newer_than_daemon(file: Path, folder: Path) -> bool:
    """Whether a daemon runs that cannot have read the file as it is: policies are read at the start."""
    from agent.data_folder import ADDRESS, running_daemon

    return running_daemon(folder) is not None and file.stat().st_mtime > (folder / ADDRESS).stat().st_mtime


async def _record(database: Path, request_id: str) -> "InteractionRecord | None":
    from agent.store.store import open_store

    async with open_store(database) as store:
        return await store.records.get(request_id)


def _explained(record: "InteractionRecord") -> list[str]:
    """The verdict in words, the rules that decided first."""
    from contracts.types import format_units

    verdict = record.verdict
    if verdict is None:
        return [f"The policy was not asked: the request ended as {record.status} without a change call."]
    said = {"allow": "It went without asking", "ask": "It had to be approved", "deny": "It was denied"}
    lines = [f"{said[verdict.decision]} ({record.status})."]
    order = ("deny", "ask", "allow")
    reasons = sorted(verdict.reasons, key=lambda one: order.index(one.decision))
    lines += [f"  {reason.decision:<5} {reason.rule}: {reason.text}" for reason in reasons]
    if verdict.decision == "ask":
        people = "one person" if verdict.approvers == 1 else f"{verdict.approvers} people"
        where = ", not over the channel that asked" if verdict.elsewhere or not verdict.chat_allowed else ""
        lines.append(f"  approval by {people}{where}")
    for budget in verdict.budgets:
        limit = format_units(budget.units, budget.decimals)
        lines.append(f"  counted in {budget.rule}: {limit} {budget.unit} in {budget.window_s / 3600:g} h")
    return lines
