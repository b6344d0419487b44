"""The README's table of what is shown for each action: made from the tests that pass and are marked `shows`.

A cell without a test carries its reason from here; a cell with neither is empty, and the tests refuse that.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LEVELS: Final = ("unit", "embedded", "real")
BEGIN: Final = "<!-- the catalogue's table: make table -->"
END: Final = "<!-- end of the table -->"
_PROTOCOL: Final = "the protocol's own, no contract"
_NOT_GIVEN: Final = "no real NFT contract is at hand"
NO_REAL_CONTRACT: Final[Mapping[str, str]] = {
    "near_balance": _PROTOCOL,
    "account_view": _PROTOCOL,
    "near_transfer": _PROTOCOL,
    "account_create": "the registrars' code is not at hand",
    "account_delete": _PROTOCOL,
    "access_keys": _PROTOCOL,
    "key_add_full": _PROTOCOL,
    "key_add_function_call": _PROTOCOL,
    "key_delete": _PROTOCOL,
    "tx_status": _PROTOCOL,
    "nft_token": _NOT_GIVEN,
    "nft_tokens": _NOT_GIVEN,
    "nft_transfer": _NOT_GIVEN,
    "nft_mint": _NOT_GIVEN,
    "nft_approve": _NOT_GIVEN,
    "nft_revoke": _NOT_GIVEN,
}
"""Why an action has no test on a contract that others wrote."""


def render(shown: Mapping[tuple[str, str], int], actions: tuple[str, ...]) -> str:
    """The table in Markdown; `shown` counts the tests that passed for an action and a level."""
    lines = ["| action | unit | embedded chain | real contract |", "|---|---|---|---|"]
    for action in actions:
        cells = [_cell(shown.get((action, level), 0), action, level) for level in LEVELS]
        lines.append(f"| `{action}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def table_in(readme: str) -> str:
    """What stands between the two marks. ValueError where they are missing."""
    found = re.search(f"{re.escape(BEGIN)}\n(.*?\n|){re.escape(END)}", readme, re.DOTALL)
    if found is None:
        raise ValueError(f"no {BEGIN} ... {END}")
    return found[1].removesuffix("\n")


def write_table(path: Path, table: str) -> None:
    text = path.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _cell(tests: int, action: str, level: str) -> str:
    if tests:
        return "shown"
    return f"({NO_REAL_CONTRACT[action]})" if level == "real" and action in NO_REAL_CONTRACT else ""
