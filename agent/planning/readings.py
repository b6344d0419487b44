"""Whether a person's words leave a model a choice. Pure.

Provenance holds that each value was said; it cannot hold that the values belong together. Of "send 5 NEAR to bob.near and 19
to carol.near" a model that was steered can make 19 for bob, of one payment two, and of an earlier message a payment now. A
person sees that on a card, so whatever has more than one reading is never free: a plan goes without approval only if it is
one change, all of its values stand in the message itself, no account is a mere word of it, it names no account and no number
besides, and what is given away was to be given away: who asks to stake has not asked for a transfer to the pool.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from agent.planning.provenance import ME, ValueKind, Words, canonical_number, trace
from agent.records import PlannedCall
from contracts.checks.named_accounts import NamedAccounts
from contracts.knowledge.address_book import AddressBook, folded
from contracts.knowledge.registry import Registry

_DIGITS: Final = re.compile(r"(?<![A-Za-z0-9_])[0-9]+(?:\.[0-9]+)?")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_IMPLICIT: Final = 42
"""Characters of the shortest account id without a name."""
_TRANSFERS: Final = frozenset({"near_transfer", "ft_transfer", "ft_transfer_call", "nft_transfer"})
_SENDS: Final = re.compile(
    r"(?i)(?<![\w.@/-])(?:send|transfer|pay|give|tip|move|wire|ship|zap|gift|forward|donate|refund|return|"
    r"sende?t?|schicke?t?|überweise?t?|zahle?t?|bezahle?|gib|transferiere?|"
    r"env[ií][ae]r?|envíale|transfi[ea]r[ea]|transfer[ie]r?|pag[ae]r?|da(?:le|me)?|mand[ae]r?|invia|"
    r"envoie[sz]?|envoyer|transf[èé]re[rz]?|paie[sz]?|paye[rz]?|donne[rz]?|"
    r"отправ(?:ь|ить|ьте)|пошли(?:те)?|переведи(?:те)?|перевести|перечисли(?:те)?|заплати(?:те)?|оплати(?:те)?|дай(?:те)?|"
    r"скинь(?:те)?|кинь|надішли|перекажи|gönder|öde|wyślij|przelej|zapłać|stuur|betaal|kirim(?:kan)?|bayar|gửi|chuyển|trả)"
    r"(?![\w-]|\.\w)|发送|发给|转账|转给|转|支付|付给|付|给|打|發送|轉帳|轉|送って|送金|送信|支払|보내|송금|지불"
)
_OTHERWISE: Final = re.compile(
    r"(?i)stak|стейк|стэйк|质押|質押|ステーク|스테이|wrap|deposit|withdraw|swap|exchange|trade|convert|buy|bridge|lock|vote|"
    r"propos|mint|call|creat|einzahl|tausch|обмен|внес|внест|депозит|兑换|兌換|交換|存入|교환"
)
"""Words of changes that move money in another way than to give it to somebody."""


def other_reading(
    changes: Sequence[PlannedCall],
    kinds: Mapping[str, ValueKind],
    words: Words,
    *,
    caller: str,
    registry: Registry,
    book: AddressBook,
) -> str | None:
    """Return why the words may mean something else than these changes; None if they have one reading.

    `kinds` are those of the arguments of a single change; `words` are the requester's turns, newest first.
    """
    if len(changes) != 1:
        return f"the message became {len(changes)} changes"
    (change,) = changes
    newest = words[:1]
    sources, missing = trace(change.action, change.args, kinds, newest, caller=caller, registry=registry, book=book)
    if missing:
        return f"{missing[0].argument} stands in an earlier message only"
    guessed = [name for name, source in sources.items() if source.kind == "registry" and source.turn is None]
    if guessed:
        return f"the message does not name {guessed[0]}"
    bare = [name for name, value in change.args.items() if kinds.get(name) == "account" and _is_bare(value)]
    if bare:
        return f"{bare[0]} is a word like any other of the message"
    return _left_over(change, " ".join(turn for _, turn in newest), caller, registry, book)


def _left_over(change: PlannedCall, text: str, caller: str, registry: Registry, book: AddressBook) -> str | None:
    """Return what a message says besides the one change whose values it holds."""
    leaves = {str(leaf).casefold() for value in change.args.values() for leaf in _leaves(value)}
    accounts = leaves | {caller.casefold(), *_contracts_of(leaves, registry)}
    numbers = {canonical_number(leaf) for leaf in leaves if _NUMBER.fullmatch(leaf)}
    if any(account_id not in accounts for account_id in _accounts_in(text)):
        return "the message names an account that has no part in it"
    rest = _without(accounts, text)
    if change.action in _TRANSFERS and (not _SENDS.search(rest) or _OTHERWISE.search(rest)):
        return "the message does not say plainly that it is given to somebody"
    if any(canonical_number(found[0]) not in numbers for found in _DIGITS.finditer(rest)):
        return "the message holds a number that has no part in it"
    spoken = folded(text)
    if any(name in spoken and entry.account_id not in accounts for name, entry in book.by_name.items()):
        return "the message holds a name of the address book that has no part in it"
    return None


def _is_bare(value: JsonValue) -> bool:
    """Whether an account id could be any word: there are accounts called `near`, and others can be opened."""
    return isinstance(value, str) and value != ME and "." not in value and len(value) < _IMPLICIT


def _leaves(value: JsonValue) -> Iterator[str | int]:
    match value:
        case bool() | None:
            pass
        case str() | int():
            yield value
        case list():
            for inner in value:
                yield from _leaves(inner)
        case dict():
            for key, inner in value.items():
                yield key
                yield from _leaves(inner)
        case _:
            pass


def _contracts_of(names: set[str], registry: Registry) -> Iterator[str]:
    """The contracts of tokens that are named, by whichever of their names."""
    for name in names:
        token = registry.by_symbol.get(name) or registry.of_contract(name)
        if token is not None:
            yield str(token.contract_id)


def _accounts_in(text: str) -> Iterator[str]:
    named = NamedAccounts(known=False)
    named.within(text, "message")
    yield from named.accounts  # "" for a text that is too long to be read
    yield from named.mentioned


def _without(names: set[str], text: str) -> str:
    """The text without accounts whose digits are no numbers."""
    long = sorted((name for name in names if "." in name or len(name) >= _IMPLICIT), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, long)) or r"(?!)", " ", text, flags=re.IGNORECASE)
