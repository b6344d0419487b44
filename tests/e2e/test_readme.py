"""The README's first conversation, held with a daemon on a fresh folder: it prints what the README says it prints."""

import re
import shlex
from pathlib import Path

from contracts.checks.policy_file import parse_policy
from contracts.knowledge.registry import Registry
from tests.e2e.programs import ROOT, daemon, near_agent

_CODE = re.compile(r"(?:(?<=confirm )|(?<=cancel ))[0-9A-Z]{8}")
_CHANGING = (
    (_CODE, "CODE"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}"), "REQUEST"),
    (re.compile(r"(?<=Transaction )[1-9A-HJ-NP-Za-km-z]{43,44}"), "HASH"),
    (re.compile(r"block \d+"), "block N"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "TIME"),
)


def conversation() -> list[tuple[str, str]]:
    """What is asked and what is printed, from the first console block."""
    block = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)[0]
    said = [part.partition("\n") for part in block.split("$ ")[1:]]
    return [(shlex.split(command)[-1], printed) for command, _, printed in said]


def test_the_policy_in_the_readme_is_one() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    [text] = [block for block in blocks if block.startswith("version = 1")]
    rules = parse_policy(text, Registry.for_network("testnet")).rules_of("anybody")
    assert rules.tokens["NEAR"].free_per_action == 5 * 10**23
    assert rules.tokens["NEAR"].ask_elsewhere_above == 10**25


def settled(text: str) -> str:
    """The text with what differs from run to run named instead."""
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return text


def test_the_first_conversation_prints_what_the_readme_says(tmp_path: Path) -> None:
    turns = conversation()
    assert len(turns) == 4
    code = ""
    with daemon(tmp_path / "data"):
        for asked, printed in turns:
            done = near_agent(tmp_path / "data", "ask", _CODE.sub(code, asked))
            assert settled(done.stdout) == settled(printed), done.stderr
            found = _CODE.search(done.stdout)
            code = found[0] if found else code
