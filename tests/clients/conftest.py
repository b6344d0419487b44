from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients.paying_model import PAID_NEAR, paying_model
from tests.clients.rows import ROWS
from tests.clients.seams import CELLS, Access, Client, Row
from tests.clients.table import Matrix
from tests.e2e.programs import RunningDaemon, daemon, near_agent_here

POLICY = f"""version = 1
[default.limits.NEAR]
free_per_action = "{PAID_NEAR}"
free_per_day = "5"
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients-table", type=Path, help="write the client matrix into this file")


class _Results:
    """Notes the result of each cell, and prints the matrix at the end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._matrix = Matrix(ROWS)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name in CELLS and report.when == "call":
                self._matrix.note(str(value), name, "works" if report.passed else "FAILED")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._matrix.empty():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        table = self._matrix.markdown()
        self._file.write_text(table, encoding="utf-8")
        terminalreporter.write_line(f"\n{table}")
        for row, cell in self._matrix.empty():
            terminalreporter.write_line(f"empty: {row}, {cell}")


def pytest_configure(config: pytest.Config) -> None:
    file: Path | None = config.getoption("--clients-table")
    if file is not None:
        config.pluginmanager.register(_Results(file))


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningDaemon]:
    """A daemon on a chain of its own, with a free allowance and a model that pays whatever it is asked."""
    folder = tmp_path_factory.mktemp("clients") / "data"
    policy = folder.parent / "policy.toml"
    policy.write_text(POLICY)
    with paying_model() as model_url:
        settings = {
            "NEAR_AGENT_POLICY__FILE": str(policy),
            "NEAR_AGENT_MODELS__STANDARD__BASE_URL": model_url,
            "NEAR_AGENT_MODELS__STANDARD__MODEL": "paying",
            "NEAR_AGENT_MODELS__STANDARD__API_KEY_ENV": "PAYING_MODEL_KEY",
            "PAYING_MODEL_KEY": "unused",
        }
        with daemon(folder, more=settings) as running:
            yield running


class Clients:
    """Each client, set up at its first use and closed at the end."""

    def __init__(self, running: RunningDaemon, stack: ExitStack) -> None:
        self._running = running
        self._stack = stack
        self._opened: dict[str, tuple[Access, Client]] = {}

    def of(self, row: Row) -> tuple[Access, Client]:
        if row.name not in self._opened:
            made = near_agent_here(self._running.folder, "api-keys", "create", "--account", "alice.localnet")
            assert made.exit_code == 0, made.output
            access = Access(self._running, made.stdout.strip())
            self._opened[row.name] = access, self._stack.enter_context(row.open(access))
        return self._opened[row.name]


@pytest.fixture(scope="session")
def clients(running: RunningDaemon) -> Generator[Clients]:
    with ExitStack() as stack:
        yield Clients(running, stack)
