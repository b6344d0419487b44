"""A token as NFT contracts really answer it, read field by field.

Its id and its owner decide. Everything else is decoration: an odd field is named and hides nothing else. Ids and texts are
outside data. Sources: NEP-171 (token), NEP-177 (metadata), NEP-178 (approvals).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from contracts.catalogue.arguments import json_type
from contracts.knowledge.inert import quoted
from contracts.types import U64_MAX, AccountId, JsonObject

_SHOWN_TITLE: Final = 80
_MAX_DIGITS: Final = 20
"""Of a u64."""


@dataclass(frozen=True, slots=True)
class NftToken:
    token_id: str
    owner_id: str
    """Empty if the answer has no text for it."""
    title_text: str | None
    description: str | None
    approvals: Mapping[str, int | None]
    """The accounts that may transfer it, with their approvals' numbers; None: the answer does not say the number."""
    approvals_read: bool
    """False if the approvals have a form that is not known here, so that there may be more."""
    odd: tuple[str, ...]
    """The fields that are not as the standards say, one short phrase each, all of them our own words."""

    @property
    def title(self) -> str:
        """` “title”`, inert, or nothing."""
        return f" {quoted(self.title_text, _SHOWN_TITLE)}" if self.title_text else ""

    def approval_of(self, account_id: AccountId) -> int | None:
        """Return the number of an account's approval; None if it has none that can be read."""
        return self.approvals.get(account_id)

    def may_be_approved(self, account_id: AccountId) -> bool:
        """Return whether an account is approved, or may be by approvals that cannot be read."""
        return account_id in self.approvals or not self.approvals_read


def read_token(value: JsonValue) -> NftToken | None:
    """Return the token in a contract's answer; None if the answer is no object or has no id."""
    if not isinstance(value, dict):
        return None
    odd: list[str] = []
    token_id = _id(value, odd)
    if token_id is None:
        return None
    owner_id = value.get("owner_id")
    if not isinstance(owner_id, str):
        odd.append("no owner_id" if owner_id is None else f"owner_id is JSON {json_type(owner_id)}")
        owner_id = ""
    approvals, read = _approvals(value, odd)
    metadata = value.get("metadata")
    if not isinstance(metadata, dict | None):
        odd.append(f"metadata is JSON {json_type(metadata)}")
    texts = metadata if isinstance(metadata, dict) else {}
    title, description = _text(texts, "title", odd), _text(texts, "description", odd)
    return NftToken(token_id, owner_id, title, description, approvals, read, tuple(odd))


def _id(value: JsonObject, odd: list[str]) -> str | None:
    name = "id" if value.get("token_id") is None else "token_id"
    if name == "id":
        odd.append("id instead of token_id")
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        odd.append(f"{name} is a number")
        return str(found)
    return found if isinstance(found, str) else None


def _text(texts: JsonObject, name: str, odd: list[str]) -> str | None:
    found = texts.get(name)
    if isinstance(found, str | None):
        return found
    odd.append(f"{name} is JSON {json_type(found)}")
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _approvals(value: JsonObject, odd: list[str]) -> tuple[Mapping[str, int | None], bool]:
    """The approvals, and whether their form is known."""
    name = "approved_account_ids" if value.get("approved_account_ids") is not None else "approvals"
    found = value.get(name)
    if found is None:
        return {}, True
    if name == "approvals":
        odd.append("approvals instead of approved_account_ids")
    match found:
        case dict():
            numbers = {account: _number(number) for account, number in found.items()}
            if any(type(number) is not int or numbers[account] is None for account, number in found.items()):
                odd.append("an approval's number is none")
            return numbers, True
        case list() if all(isinstance(account, str) for account in found):
            odd.append(f"{name} is a list")
            return {str(account): None for account in found}, True
        case _:
            odd.append(f"{name} cannot be read")
            return {}, False


def _number(value: JsonValue) -> int | None:
    """An approval's number, a u64, as a number or in digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= U64_MAX
    return value if whole and isinstance(value, int) else None
