"""What all tests share."""

import logging
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from contracts.catalogue.index import CATALOGUE
from tests.catalogue_table import render, table_in, write_table
from tests.model_server import ModelServer, open_model_server

# Shared machines stall for seconds: a property is judged by what it says, never by how long it took.
settings.register_profile("random", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run: `make test` says the same of the same code. `make fuzz` looks for others.
settings.register_profile("fixed", settings.get_profile("random"), derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(autouse=True)
def fresh_logging() -> Generator[None]:
    """Each test has a standard error of its own: a logger that was set up in one must not write there in the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
async def server() -> AsyncGenerator[ModelServer]:
    """A model server whose answers a test scripts."""
    async with open_model_server() as opened:
        yield opened


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--catalogue-table", type=Path, help="write the table of what is shown into this document")
    parser.addoption("--check-catalogue-table", type=Path, help="fail where this document's table is another one")


class _Shown:
    """Counts the tests that passed for each action and level."""

    def __init__(self, document: Path, *, write: bool) -> None:
        self._document = document
        self._write = write
        self._marks: dict[str, list[tuple[str, str]]] = {}
        self._passed: Counter[tuple[str, str]] = Counter()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = [(str(mark.args[0]), str(mark.args[1])) for mark in item.iter_markers("shows")]
            self._marks[item.nodeid] = list(dict.fromkeys(marks))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A check cannot judge what is skipped here, for want of contracts that others wrote.
        shown = (report.when == "call" and report.passed) or (report.skipped and not self._write)
        if shown:
            self._passed.update(self._marks.get(report.nodeid, []))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus != 0:
            return
        table = render(self._passed, tuple(CATALOGUE))
        if self._write:
            write_table(self._document, table)
        elif table != table_in(self._document.read_text(encoding="utf-8")):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            print(f"\n{self._document}: the table of what is shown is not what this run showed; make table")


def pytest_configure(config: pytest.Config) -> None:
    for option, write in (("--catalogue-table", True), ("--check-catalogue-table", False)):
        document: Path | None = config.getoption(option)
        if document is not None:
            config.pluginmanager.register(_Shown(document, write=write))
