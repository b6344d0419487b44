"""The cells of the client matrix. `make clients` runs them; the name keeps them out of `make test`."""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from contracts.types import JsonObject
from tests.clients.conftest import Clients
from tests.clients.paying_model import PAID_NEAR
from tests.clients.rows import ROWS
from tests.clients.seams import CELLS, Access, Cell, Client, ClientFailedError, Row, Tab
from tests.e2e.programs import RunningDaemon

MILLINEAR = 10**21
_CODE = re.compile(r"confirm ([0-9A-HJKMNP-TV-Z]{8})")
_TRANSACTION = re.compile(r"[1-9A-HJ-NP-Za-km-z]{43,44}")
_amounts = count(1_001)
"""Millis of NEAR: each card's own, so that no card is taken for the repetition of another."""
TITLE: JsonObject = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["title", "tags"],
    "additionalProperties": False,
}
QUOTED = f"please send {PAID_NEAR} NEAR to bob.localnet"


def _code(card: str) -> str:
    codes = _CODE.findall(card)
    assert len(set(codes)) == 1, card
    return codes[0]


def _transaction(answer: str) -> str:
    found = _TRANSACTION.findall(answer)
    assert found, answer
    return found[0]


class _Bob:
    """Return the NEAR that bob.localnet has received since the last look, in thousandths."""

    def __init__(self, running: RunningDaemon) -> None:
        self._running = running
        self._last = running.chain_balance_yocto("bob.localnet")

    def got(self) -> int:
        before, self._last = self._last, self._running.chain_balance_yocto("bob.localnet")
        millis, rest = divmod(self._last - before, MILLINEAR)
        assert rest == 0
        return millis


def _transfer(millis: int) -> str:
    return f"/near_transfer bob.localnet {millis // 1000}.{millis % 1000:03}"


def _models(client: Client, _: _Bob) -> None:
    assert "near-agent" in client.models()


def _view(client: Client, _: _Bob) -> None:
    with client.tab() as tab:
        assert "10000 NEAR" in tab.say("/near_balance carol.localnet")


def _change(client: Client, bob: _Bob) -> None:
    millis = next(_amounts)
    with client.tab() as tab:
        card = tab.say(_transfer(millis))
        assert "bob.localnet" in card
        assert f"{millis / 1000} NEAR" in card
        assert bob.got() == 0
        assert "Done" in tab.say(f"confirm {_code(card)}")
        assert bob.got() == millis


def _streaming(client: Client, bob: _Bob) -> None:
    millis = next(_amounts)
    with client.tab() as tab:
        pieces = tab.stream(_transfer(millis))
        assert len(pieces) > 1, pieces
        done = tab.stream(f"confirm {_code(''.join(pieces))}")
        assert "Done" in "".join(done)
        assert bob.got() == millis


def _error(client: Client, _: _Bob) -> None:
    with client.tab("no-such-model") as tab, pytest.raises(ClientFailedError) as shown:
        tab.say("/near_balance carol.localnet")
    assert "no-such-model" in str(shown.value)
    assert "does not exist" in str(shown.value)


def _cancel(client: Client, bob: _Bob) -> None:
    """An answer that is stopped is no lost one: the card is shown again, and a confirmed change happens once."""
    millis = next(_amounts)
    with client.tab() as tab:
        tab.leave(_transfer(millis))
    with client.tab() as tab:
        code = _code(tab.say(_transfer(millis)))
        tab.leave(f"confirm {code}")
    with client.tab() as tab:
        _transaction(tab.say(f"confirm {code}"))
    assert bob.got() == millis


def _regenerate(client: Client, bob: _Bob) -> None:
    millis = next(_amounts)
    with client.tab() as tab:
        code = _code(tab.say(_transfer(millis)))
        assert _code(tab.again()) == code
        sent = _transaction(tab.say(f"confirm {code}"))
        assert _transaction(tab.again()) == sent
        assert bob.got() == millis


def _two_tabs(client: Client, bob: _Bob) -> None:
    """Two conversations at once: each has its own card, and each code stands for its own."""
    amounts = [next(_amounts), next(_amounts)]
    with client.tab() as one, client.tab() as other, ThreadPoolExecutor(2) as threads:
        tabs = (one, other)
        codes = [_code(card) for card in threads.map(_say, tabs, map(_transfer, amounts))]
        assert codes[0] != codes[1]
        done = [*threads.map(_say, tabs, (f"confirm {code}" for code in reversed(codes)))]
        assert len({_transaction(answer) for answer in done}) == 2
    assert bob.got() == sum(amounts)


def _say(tab: Tab, text: str) -> str:
    return tab.say(text)


def _title(client: Client, bob: _Bob) -> None:
    """The conversation that it quotes asks for a payment within the free allowance, which the model would plan."""
    title = client.title(QUOTED, "It is being sent.")
    assert "bob.localnet" in title
    assert len(title) < 60
    assert bob.got() == 0


def _structured(client: Client, bob: _Bob) -> None:
    """JSON is for front ends' own prompts: a person's request under it is refused, and says so."""
    prompt = f"Generate a concise title and tags for the conversation.\n<chat_history>\nUSER: {QUOTED}\n</chat_history>"
    value = client.structured(prompt, TITLE)
    assert value["title"] == "Transfer to bob.localnet"
    assert "NEAR" in str(value["tags"])
    with pytest.raises(ClientFailedError) as shown:
        client.structured(QUOTED, TITLE)
    assert "Nothing was done" in str(shown.value)
    assert bob.got() == 0


CHECKS: Mapping[Cell, Callable[[Client, _Bob], None]] = {
    "models": _models,
    "view": _view,
    "change with approval": _change,
    "streaming": _streaming,
    "error": _error,
    "cancel": _cancel,
    "regenerate": _regenerate,
    "two tabs": _two_tabs,
    "title prompt": _title,
    "structured output": _structured,
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_client_works_or_says_why_not(
    row: Row, cell: Cell, clients: Clients, record_property: Callable[[str, object], None]
) -> None:
    record_property(cell, row.name)
    if cell in row.cannot:
        assert row.cannot[cell]
        return
    access, client = clients.of(row)
    try:
        CHECKS[cell](client, _Bob(access.running))
    finally:
        _drop_cards(access)


def _drop_cards(access: Access) -> None:
    """At most three cards wait for a key: what a failed cell left would fail the next ones."""
    access.running.say("/cancel all", Authorization=f"Bearer {access.key}")


def test_the_model_would_pay(running: RunningDaemon) -> None:
    """The title cells would show nothing if the free allowance did not cover what the model plans."""
    bob = _Bob(running)
    assert running.say(QUOTED).facts["status"] == "executed"
    assert bob.got() == round(float(PAID_NEAR) * 1000)
