"""House rules that no linter knows: sizes, banned imports, and that the README's commands exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.catalogue.index import CATALOGUE
from tests.catalogue_table import table_in

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("contracts", "agent", "training")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
BANNED_NAMES = {"utils", "helpers", "manager", "base", "common", "misc"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_source_file_keeps_the_house_sizes(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    long = [
        f"{function.name}: {(function.end_lineno or 0) - function.lineno + 1} lines"
        for function in _functions(ast.parse(text))
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_names_say_what_a_file_is() -> None:
    assert [_name(path) for path in SOURCES if path.stem in BANNED_NAMES] == []


def test_package_files_hold_a_docstring_and_nothing_else() -> None:
    for path in SOURCES:
        if path.name == "__init__.py":
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, _name(path)
            assert isinstance(body[0], ast.Expr), _name(path)


def test_fakes_are_passed_in_and_never_patched_in() -> None:
    banned = re.compile(r"^\s*(from unittest(\.| import )mock|import unittest\.mock)", re.MULTILINE)
    assert [_name(path) for path in [*SOURCES, *TESTS] if banned.search(path.read_text())] == []


def test_broad_catches_stand_only_where_a_request_ends() -> None:
    broad = re.compile(r"except\s*(\(?\s*(Base)?Exception\b|:)")
    assert {_name(path) for path in SOURCES if broad.search(path.read_text())} == {"agent/ending.py"}


def test_only_the_entry_reads_the_environment() -> None:
    """Config is read once in the entry and passed down (STYLE rule 7)."""
    reads = re.compile(r"os\.(environ|getenv)")
    entries = {"agent/cli.py", "agent/commands/settings.py", "training/cli.py"}
    assert {_name(path) for path in SOURCES if reads.search(path.read_text())} <= entries


WRITERS = {
    "contracts/folders.py": {"chmod", "mkdir"},
    "contracts/private_files.py": {"O_CREAT", "O_WRONLY", "chmod", "link", "replace"},
    # Databases: SQLite writes them, into files that `private_files` has made.
    "agent/store/backup.py": {"sqlite3.connect", "link", "replace"},
    "agent/records.py": {"sqlite3.connect"},
    "agent/commands/verifying.py": {"sqlite3.connect"},
    "contracts/localnet/store.py": {"sqlite3.connect"},
    "contracts/signing/journal.py": {"sqlite3.connect"},
    # A key that is retired gets another name; nothing is written.
    "contracts/signing/keystore.py": {"replace"},
    "contracts/signing/vault.py": {"replace"},
    # A folder that is gone after an evaluation, and a compiler's cache; tempfile makes them 0700.
    "training/evaluation/run.py": {"TemporaryDirectory"},
    "contracts/localnet/sources/build.py": {"TemporaryDirectory", "chmod"},
}
"""Everything in the sources that writes files, with why it does not go through `contracts/private_files.py`."""
_WRITING = {
    *(
        "write_text",
        "write_bytes",
        "touch",
        "mkdir",
        "makedirs",
        "mkfifo",
        "symlink_to",
        "hardlink_to",
        "symlink",
        "link",
    ),
    *(
        "chmod",
        "rename",
        "renames",
        "copy",
        "copyfile",
        "copytree",
        "copy2",
        "move",
        "mkstemp",
        "mkdtemp",
    ),
    *("NamedTemporaryFile", "TemporaryDirectory", "TemporaryFile", "write_history_file"),
}
_FLAGS = {"O_CREAT", "O_WRONLY", "O_TRUNC"}
_MODULES = {"os", "shutil", "tempfile", "readline"}
_COMMON = {"copy", "move", "link", "rename"}
"""Names that other things than files have too: counted where a module of files is before them."""


def _writing(tree: ast.Module) -> set[str]:
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in _FLAGS}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        of = (
            call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
        )
        mode = {word.value for word in ast.walk(call) if isinstance(word, ast.Constant) and isinstance(word.value, str)}
        if name in _WRITING and (name not in _COMMON or of in _MODULES):
            found.add(name)
        elif name == "replace" and (of == "os" or (len(call.args) == 1 and not call.keywords)):
            found.add("replace")  # str.replace takes two, dataclasses.replace is no attribute
        elif (
            name in {"open", "fdopen"}
            and of != "os"
            and any(re.fullmatch(r"[rwxab+t]*[wxa+][rwxab+t]*", m) for m in mode)
        ):
            found.add("open for writing")
        elif (of, name) == ("sqlite3", "connect"):
            found.add("sqlite3.connect")
    return found


def test_files_are_written_in_one_place() -> None:
    """Private, atomic and on disk: `contracts/private_files.py` and what is named above, with its reason, and nothing else."""
    found = {_name(path): writing for path in SOURCES if (writing := _writing(ast.parse(path.read_text())))}
    assert found == WRITERS


@pytest.mark.parametrize(
    "source",
    [
        "Path(x).write_text(y)",
        "p.open('w')",
        "open(p, mode='ab')",
        "open(p, 'r+')",
        "os.replace(a, b)",
        "a.replace(b)",
        "os.open(p, os.O_CREAT)",
        "p.mkdir()",
        "shutil.copy(a, b)",
    ],
)
def test_the_search_for_writers_finds(source: str) -> None:
    assert _writing(ast.parse(source))
    assert not _writing(
        ast.parse("p.open('rb'); t.replace('a', 'b'); replace(x, y=1); os.fdopen(f, 'wb'); p.read_text()")
    )


def test_tests_are_not_skipped_quietly() -> None:
    """Only where foreign contract binaries are read may a test be skipped, and it says why."""
    skipping = re.compile(r"pytest\.skip\(|mark\.(skip|xfail)")
    found = {_name(path) for path in TESTS if skipping.search(path.read_text()) and path.name != "test_house.py"}
    assert found == {"tests/real_contracts/conftest.py"}


def test_the_command_lines_print_in_one_place_each() -> None:
    """There, what would steer a terminal is written out: any text may hold a node's, a contract's or a provider's words."""
    printing = re.compile(r"(?<![\w.])print\(")
    found = {_name(path): len(printing.findall(path.read_text())) for path in SOURCES}
    assert {name: count for name, count in found.items() if count} == {
        "agent/commands/exits.py": 2,
        "agent/cli.py": 1,  # its own version
        "training/cli.py": 2,
        "contracts/localnet/sources/build.py": 2,  # a build step
    }


CLIENTS = re.compile(
    r"ClientSession\(|urllib\.request|urlopen|http\.client|httpx|AsyncOpenAI|OpenAI\(|aiohttp\.request"
    r"|requests\.(get|post)|open_connection|create_connection|socket\.socket\("
)
OPENED = {
    "contracts/outgoing.py": "the guarded session itself",
    "contracts/openai_client.py": "the openai package, on that session",
    "contracts/signing/room.py": "a Unix socket",
    "agent/commands/client.py": "the daemon of the data folder, at the address in its own file",
    "agent/commands/doctor.py": "the same",
    "agent/commands/chain.py": "the same, for the embedded chain",
}


def test_connections_to_other_servers_are_opened_in_one_place() -> None:
    """So a URL that stands in a contract's metadata, a token's icon or an NFT's media is never fetched: nothing could."""
    assert {_name(path) for path in SOURCES if CLIENTS.search(path.read_text())} == set(OPENED)


def test_guarded_sessions_go_to_configured_addresses_only() -> None:
    opening = re.compile(r"outgoing import [^\n]*\bopen_session\b|outgoing import \([^)]*\bopen_session\b")
    assert {_name(path) for path in SOURCES if opening.search(path.read_text())} == {
        "contracts/chain/rpc.py",
        "agent/models/openai_chat.py",
        "agent/commands/doctor.py",
        "training/jobs/provider.py",
        "training/evaluation/run.py",
    }


def _readme_commands() -> list[tuple[str, str]]:
    text = (ROOT / "README.md").read_text()
    fenced = "\n".join(re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.DOTALL))
    return sorted(set(re.findall(r"\b(near-agent|near-train) ([a-z][a-z-]*)", fenced)))


def test_the_readme_names_commands_that_exist() -> None:
    commands = _readme_commands()
    assert ("near-agent", "ask") in commands
    for program in {program for program, _ in commands}:
        module = {"near-agent": "agent.cli", "near-train": "training.cli"}[program]
        done = subprocess.run(
            [sys.executable, "-c", f"from {module} import main; main()", "--help"],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "200", "TERM": "dumb"},
        )
        for _, command in (pair for pair in commands if pair[0] == program):
            assert re.search(rf"\b{command}\b", done.stdout), f"{program} {command}"


def test_the_readme_names_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", (ROOT / "README.md").read_text()))
    assert {"run", "test"} <= named <= targets


def test_the_lock_names_no_index_and_hashes_every_package() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index" not in lock
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)[1:]
    assert len(entries) > 40
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_every_test_that_the_security_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) >= 30
    functions = {path: {one.name for one in _functions(ast.parse((ROOT / path).read_text()))} for path, _ in named}
    assert [f"{path}::{name}" for path, name in named if name not in functions[path]] == []


def test_the_table_of_what_is_shown_has_a_row_for_each_action_and_no_empty_cell() -> None:
    rows = [
        [cell.strip() for cell in row.split("|")[1:-1]]
        for row in table_in((ROOT / "README.md").read_text()).splitlines()
    ]
    assert [row[0] for row in rows[2:]] == [f"`{name}`" for name in CATALOGUE]
    assert [row for row in rows if "" in row or len(row) != 4] == []
