"""What an amount is an amount of: the words next to a number, against what the action's argument takes. Pure.

`5 USDC` is no source for 5 NEAR, nor are `5 yoctoNEAR`, `5 DOGE`, `5 dollars` or `5 thousand`: a model that takes one for
the other would move other money than was asked for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.knowledge.registry import NEAR_SYMBOL, Registry
from contracts.types import JsonObject

NEAR_UNITS: Final = frozenset({NEAR_SYMBOL.casefold(), "n", "nears"})
GAS_UNITS: Final = frozenset({"tgas"})
_WRAPPING: Final = frozenset({"near_wrap", "near_unwrap"})
"""Actions whose amount people state in NEAR or in wrapped NEAR."""
_OTHER_UNITS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        k m b mm mio mil mille mln mrd bn hundred hundreds thousand thousands million millions billion billions dozen dozens
        lakh lakhs crore crores tausend percent pct ppm bps half tenth tenths hundredth hundredths thousandth thousandths
        plus minus times x divided
        usd dollar dollars buck bucks eur euro euros gbp pound pounds jpy yen cny rmb yuan inr rupee rupees rub ruble rubles
        chf franc francs peso pesos krw won cent cents penny pence btc eth sol bnb xrp ada doge shib trx ton matic avax ltc
        dai sat sats satoshi satoshis wei gwei yocto milli micro nano
        nft nfts second seconds minute minutes hour hours day days week weeks month months year years block blocks epoch
        epochs
        """,
    )
)
"""Multiples and parts, money that is no token, tokens of other chains, and what is counted and is no money."""
_MULTIPLES_ELSEWHERE: Final = (
    "тыс",
    "милли",
    "млн",
    "млрд",
    "万",
    "萬",
    "千",
    "百",
    "億",
    "亿",
    "만",
    "천",
    "लाख",
    "करोड़",
    "ألف",
    "مليون",
)
"""Beginnings of words for thousands and millions in other scripts."""
_COUNTED_BEFORE: Final = frozenset({"nft", "nfts", "proposal", "pool", "id", "number", "no", "item", "step", "block"})
"""What stands before a number that names something: `NFT 5` is no amount."""
_SMALL_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
        a to for from into in on at and with of per by as via or then worth is back now please each more over again straight
        directly total only just out off today all
        """,
    )
)
"""Words behind an amount that count nothing."""
_MOVES_ON: Final = re.compile(r"\s{1,3}(?:to|into|from|for|with)\b", re.IGNORECASE)
_WORD_AFTER: Final = re.compile(r"[\s(\[{\"'`*“‘]{0,8}([^\W\d_][\w.-]{0,63})")
_WORD_BEFORE: Final = re.compile(r"(?<![\w.@-])([^\W\d_]\w{0,15})[\s:=(\"'`*]{1,8}\Z")
_PART_OF: Final = re.compile(r"(?i)\b(half|third|quarter|tenth|twice|double|triple|minus)(\s+\w+){0,3}\s*\Z")
_RECKONED_AFTER: Final = re.compile(r"[^\S\n]*+(?:[-+*/×÷^=·−–—~±]*+|x\b)[^\S\n]*+\d")
_RECKONED_BEFORE: Final = re.compile(r"(?<![^\s(])[\d.,]*\d[^\S\n]*+(?:[-+*/×÷^=·−–—~±]*+|x)[^\S\n]*+\Z")
_WORDS: Final = re.compile(r"[\w.@-]+")
_LOOKED_BACK: Final = 120
"""Longer than an account id, so that one that ends in digits is not taken for a number."""


@dataclass(frozen=True, slots=True)
class Units:
    """Words in lower case."""

    accepted: frozenset[str]
    """May stand next to the number."""
    others: frozenset[str] = frozenset()
    """Tokens that the action does not name: where one is spoken of and none of `accepted` is, the number may be of it."""


def accepted_units(action: str, args: JsonObject, registry: Registry) -> Mapping[str, Units]:
    """What each amount of an action may be counted in; other arguments are absent."""
    near = NEAR_UNITS | _names(registry, registry.wrap_id) if action in _WRAPPING else NEAR_UNITS
    token = args.get("token", args.get("token_in"))
    amount = _names(registry, token) if isinstance(token, str) else near
    named = frozenset(name for value in args.values() if isinstance(value, str) for name in _names(registry, value))
    tokens = frozenset(symbol.casefold() for symbol in registry.symbols) | {NEAR_SYMBOL.casefold()}
    return {
        "amount": Units(amount, tokens - amount - named),
        "deposit": Units(NEAR_UNITS, tokens - NEAR_UNITS - named),
        "allowance": Units(NEAR_UNITS, tokens - NEAR_UNITS - named),
        "gas": Units(GAS_UNITS),
    }


@dataclass(frozen=True, slots=True)
class Spoken:
    """The words of one text, found once for all of its numbers."""

    words: frozenset[str]
    """In lower case, account ids whole."""
    capitals: bool
    """Whether the whole text is in capitals, so that a word in capitals is no ticker."""


NOTHING_SPOKEN: Final = Spoken(frozenset(), capitals=False)


def words_of(text: str) -> Spoken:
    """Return the words of a text."""
    words = frozenset(word.strip(".-_") for word in _WORDS.findall(text.casefold()))
    return Spoken(words, capitals=text.isupper())


def is_amount_of(text: str, start: int, end: int, units: Units, spoken: Spoken, registry: Registry) -> bool:
    """Whether nothing around the number at `start` to `end` says that it counts something else, or is a part of a sum.

    `spoken`: the `words_of` the text.
    """
    before = text[max(0, start - _LOOKED_BACK) : start]
    if _RECKONED_AFTER.match(text, end) or _RECKONED_BEFORE.search(before) or _PART_OF.search(before):
        return False
    known = NEAR_UNITS | GAS_UNITS | {symbol.casefold() for symbol in registry.symbols}
    after = _WORD_AFTER.match(text, end)
    word = after[1].rstrip(".-_") if after else ""
    said = word.casefold()
    if said in units.accepted:
        return True
    if said in known or "." in said or _is_unit(word, spoken):
        return False
    if after and said not in _SMALL_WORDS and _MOVES_ON.match(text, after.end()):
        return False  # `5 shitzu to bob`
    found = _WORD_BEFORE.search(before)
    named = found[1].casefold() if found else ""
    if named in _COUNTED_BEFORE or (named in known - {"n"} and named not in units.accepted):
        return False
    return named in units.accepted or not units.others & spoken.words or bool((units.accepted - {"n"}) & spoken.words)


def _is_unit(word: str, spoken: Spoken) -> bool:
    """Whether a word is what something is counted in: money, a multiple, or written as the tickers of tokens are."""
    said = word.casefold()
    if (
        said in _OTHER_UNITS
        or said.startswith(_MULTIPLES_ELSEWHERE)
        or (len(said) > 4 and said.endswith(("near", "nears")))
    ):
        return True
    ticker = len(word) > 1 and word.isascii() and word.isupper()
    return ticker and said not in _SMALL_WORDS and not spoken.capitals


def _names(registry: Registry, token: str) -> frozenset[str]:
    known = registry.by_symbol.get(token.casefold()) or registry.of_contract(token)
    names = (known.contract_id, known.symbol or known.contract_id) if known else (token,)
    return frozenset(name.casefold() for name in names)
