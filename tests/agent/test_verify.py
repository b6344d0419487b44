"""`near-agent verify`: the fingerprint of a card, recomputed from what is stored, and every difference told."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.agent.test_cli import Cli


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return Cli(tmp_path_factory.mktemp("verify") / "data")


def card_of(cli: Cli, command: str) -> dict[str, Any]:
    return cli.json("ask", command, exit_code=3)


def change(cli: Cli, request_id: str, changed: Callable[[dict[str, Any]], None], calls_hash: str | None = None) -> None:
    """Change a stored card, as somebody with the database file could."""
    with closing(sqlite3.connect(cli.folder / "agent.db")) as connection, connection:
        (text,) = connection.execute("SELECT card FROM cards WHERE request_id = ?", (request_id,)).fetchone()
        card = json.loads(text)
        changed(card)
        connection.execute("UPDATE cards SET card = ? WHERE request_id = ?", (json.dumps(card), request_id))
        if calls_hash:
            connection.execute("UPDATE cards SET calls_hash = ? WHERE request_id = ?", (calls_hash, request_id))


def test_a_card_is_verified_before_and_after_it_is_carried_out(cli: Cli) -> None:
    card = card_of(cli, "/ft_transfer USDC bob.localnet 5 hello")
    fingerprint = card["card"]["fingerprint"]
    assert f"Fingerprint: {fingerprint}" in card["text"]
    assert fingerprint.replace(" ", "") == card["calls_hash"][:12]
    done = cli("verify", card["request_id"])
    assert done.exit_code == 0, done.output
    assert f"Fingerprint: {fingerprint}\n" in done.stdout
    (call,) = [line for line in done.stdout.splitlines() if line.startswith("    call ft_transfer with {")]
    for part in ('"receiver_id":"bob.localnet"', '"amount":"5000000"', '"memo":"hello"', "deposit 1 yoctoNEAR"):
        assert part in call
    assert "the card shows the same" in done.stdout
    assert cli("approve", card["request_id"]).exit_code == 0
    after = cli.json("verify", card["request_id"])
    assert after["status"] == "confirmed"
    assert [one["same_calls"] for one in after["signed"]] == [True]
    assert (after["calls_hash"], after["problems"]) == (card["calls_hash"], [])


def test_other_calls_than_those_of_the_card_are_told(cli: Cli) -> None:
    card = card_of(cli, "/near_transfer bob.localnet 1")

    def more(stored: dict[str, Any]) -> None:
        stored["calls"][0]["actions"][0]["deposit"] = str(900 * 10**24)

    change(cli, card["request_id"], more)
    told = cli("verify", card["request_id"])
    assert told.exit_code == 4
    assert "transfer deposit 900000000000000000000000000" in told.stdout
    assert "the card shows the fingerprint" in told.stderr
    assert "Do not approve it" in told.stderr


def test_a_card_that_shows_another_fingerprint_is_told(cli: Cli) -> None:
    card = card_of(cli, "/near_transfer bob.localnet 2")
    change(cli, card["request_id"], lambda stored: stored.update(text=stored["text"].replace("Fingerprint: ", "F")))
    assert cli("verify", card["request_id"]).exit_code == 4
    change(cli, card["request_id"], lambda stored: stored.update(facts=None))
    assert "the card shows none" in cli("verify", card["request_id"]).stdout
    change(cli, card["request_id"], lambda stored: None, calls_hash="0" * 64)
    assert "its recorded hash has the fingerprint 0000 0000 0000" in cli("verify", card["request_id"]).stderr
    change(cli, card["request_id"], lambda stored: stored.update(calls=[{"kind": "change"}]))
    unreadable = cli("verify", card["request_id"])
    assert (unreadable.exit_code, "cannot be read" in unreadable.stderr) == (4, True)
    with closing(sqlite3.connect(cli.folder / "agent.db")) as connection, connection:
        connection.execute("DELETE FROM cards WHERE request_id = ?", (card["request_id"],))


def test_bytes_that_were_signed_for_something_else_are_told(cli: Cli) -> None:
    assert cli("ask", "/cancel all").exit_code == 0
    first, second = card_of(cli, "/near_transfer bob.localnet 0.1"), card_of(cli, "/near_transfer bob.localnet 0.2")
    for card in (first, second):
        assert cli("approve", card["request_id"]).exit_code == 0
    with closing(sqlite3.connect(cli.folder / "agent.db")) as connection, connection:
        (data,) = connection.execute(
            "SELECT data FROM intents WHERE intent_id = ?", (f"{first['request_id']}:0",)
        ).fetchone()
        connection.execute("UPDATE intents SET data = ? WHERE intent_id = ?", (data, f"{second['request_id']}:0"))
    assert cli("verify", first["request_id"]).exit_code == 0
    told = cli("verify", second["request_id"])
    assert (told.exit_code, "was signed for other calls" in told.stderr) == (4, True)


def test_there_is_nothing_to_verify_without_a_card(cli: Cli, tmp_path: Path) -> None:
    nothing = cli("verify", "0199%")
    assert (nothing.exit_code, "there is no card of request 0199%" in nothing.stderr) == (2, True)
    nowhere = cli("verify", "x", NEAR_AGENT_DAEMON__DATA_DIR=str(tmp_path))
    assert (nowhere.exit_code, "there is no database" in nowhere.stderr) == (2, True)
