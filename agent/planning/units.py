"""What an amount is an amount of: the word next to a number, against what the action's argument takes. Pure.

`5 USDC` is no source for 5 NEAR: a model that mixes up the two would move other money than was asked for.
"""

import re
from collections.abc import Mapping
from typing import Final

from contracts.knowledge.registry import NEAR_SYMBOL, Registry
from contracts.types import JsonObject

NEAR_UNITS: Final = frozenset({NEAR_SYMBOL.casefold(), "n"})
GAS_UNITS: Final = frozenset({"tgas"})
_WRAPPING: Final = frozenset({"near_wrap", "near_unwrap"})
"""Actions whose amount people state in NEAR or in wrapped NEAR."""
_MULTIPLES: Final = frozenset(
    {"k", "mio", "mil", "bn", "hundred", "thousand", "million", "billion", "dozen", "percent"}
)
_AFTER: Final = re.compile(r"\s{0,3}([A-Za-z][A-Za-z0-9._-]{0,63})")
_BEFORE: Final = re.compile(r"(?<![\w.@-])([A-Za-z][A-Za-z0-9]{0,15})\s{1,3}\Z")


def accepted_units(action: str, args: JsonObject, registry: Registry) -> Mapping[str, frozenset[str]]:
    """For each amount of an action, the words in lower case that may stand next to it; other arguments are absent."""
    near = NEAR_UNITS | _names(registry, registry.wrap_id) if action in _WRAPPING else NEAR_UNITS
    token = args.get("token", args.get("token_in"))
    amount = _names(registry, token) if isinstance(token, str) else near
    return {"amount": amount, "deposit": NEAR_UNITS, "gas": GAS_UNITS}


def is_amount_of(text: str, start: int, end: int, accepted: frozenset[str], registry: Registry) -> bool:
    """Whether nothing next to the number at `start` to `end` says that it counts something else."""
    known = NEAR_UNITS | GAS_UNITS | {symbol.casefold() for symbol in registry.symbols}
    after = _AFTER.match(text, end)
    word = after[1].rstrip(".-_").casefold() if after else ""
    if word in _MULTIPLES:
        return False
    if word in known or "." in word:
        return word in accepted
    before = _BEFORE.search(text, max(0, start - 24), start)
    named = before[1].casefold() if before else ""
    return named not in known - {"n"} or named in accepted


def _names(registry: Registry, token: str) -> frozenset[str]:
    known = registry.by_symbol.get(token.casefold()) or registry.of_contract(token)
    names = (known.contract_id, known.symbol or known.contract_id) if known else (token,)
    return frozenset(name.casefold() for name in names)
