"""Is a plan exactly the expected one? Pure: texts in, verdicts out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from contracts.types import format_units, parse_units

AMOUNTS = frozenset({"amount", "deposit", "allowance", "gas", "slippage_percent"})
_DECIMALS = 20
_LONGEST = 18
"""More than any token has, so that comparing amounts never rounds."""

Calls = Sequence[tuple[str, Mapping[str, JsonValue]]]


@dataclass(frozen=True)
class Verdict:
    exact: bool
    """Same actions in the same order with the same arguments."""
    actions_right: bool
    """Same actions in the same order."""
    kind: str
    """What the candidate answered with: plan, clarify, answer, unsupported, refuse or error."""


def grade(expected: Calls, kind: str, calls: Calls) -> Verdict:
    """The verdict on one answer; anything but a plan is wrong where a plan is expected."""
    wanted = [(action, canonical(args)) for action, args in expected]
    got = [(action, canonical(args)) for action, args in calls]
    return Verdict(
        exact=kind == "plan" and got == wanted,
        actions_right=kind == "plan" and [action for action, _ in got] == [action for action, _ in wanted],
        kind=kind,
    )


def canonical(args: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Arguments in one spelling: amounts without needless zeros, text trimmed and in lower case, absent ones left out."""
    return {name: _value(name, value) for name, value in sorted(args.items()) if value is not None}


def _value(name: str, value: JsonValue) -> JsonValue:
    if not isinstance(value, str):
        return value
    text = value.strip()
    if name in AMOUNTS and text.replace(".", "", 1).isdigit() and text.isascii() and text[0] != "." and text[-1] != ".":
        return format_units(parse_units(text, _DECIMALS), _DECIMALS) if len(text) < _LONGEST else text
    return (
        text
        if name in {"memo", "msg", "title", "description", "method_name", "tx_hash", "public_key"}
        else text.lower()
    )
