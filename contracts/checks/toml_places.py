"""Where a key stands in a TOML text, for messages about it."""

import re
from collections.abc import Mapping
from typing import Final

_HEADER: Final = re.compile(r"\s*+\[([^\[\]]++)\]\s*+(#.*)?")
_KEY: Final = re.compile(r"""\s*([A-Za-z0-9_."':-]+)\s*=""")


def places_of(text: str) -> dict[str, int]:
    """The line of every table and every key that stands at the beginning of a line, and of the parts of dotted ones."""
    places: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            table = _plain(header[1].strip())
            places.setdefault(table, number)
        elif key := _KEY.match(line):
            full = f"{table}.{_plain(key[1])}" if table else _plain(key[1])
            while full and full != table:
                places.setdefault(full, number)
                full = full.rpartition(".")[0]
    return places


def line_of(key: str, places: Mapping[str, int]) -> str:
    """`line 4: ` of the key, or of the nearest table around it."""
    while key and key not in places:
        key = key.rpartition(".")[0]
    return f"line {places[key]}: " if key else ""


def _plain(key: str) -> str:
    return key.replace('"', "").replace("'", "").replace(" ", "")
