"""The words that a command line completes: actions with their arguments, accounts, tokens, and names of the address book.

Nothing here was ever said by a chain, a model or a requester: an id that somebody else brought in must not become one that
is offered. Added contracts are the operator's own choice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from contracts.catalogue.entry import AnyEntry
from contracts.knowledge.address_book import AddressBook
from contracts.knowledge.registry import NEAR_SYMBOL, Registry
from contracts.types import JsonObject


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A running daemon's. The catalogue and the registry's tokens grow with the contracts that are added."""

    catalogue: Mapping[str, AnyEntry]
    registry: Registry
    address_book: AddressBook

    def shown(self, own: Iterable[str]) -> JsonObject:
        """`{actions: [{name, arguments: [{name, kind, choices}]}], accounts, tokens, names: {name: account}}`, with one's own
        accounts first.
        """
        tokens = sorted({token.symbol for token in self.registry.by_symbol.values() if token.symbol})
        return {
            "actions": [_shown_action(entry) for entry in self.catalogue.values()],
            "accounts": [*dict.fromkeys((*own, *self.registry.account_ids))],
            "tokens": [NEAR_SYMBOL, *tokens],
            "names": {entry.name: entry.account_id for entry in self.address_book.entries},
        }


def _shown_action(entry: AnyEntry) -> JsonObject:
    arguments: list[JsonValue] = [
        {"name": item.name, "kind": item.kind, "choices": [*item.choices]} for item in entry.parameters
    ]
    return {"name": entry.name, "arguments": arguments}
