"""What all tests share."""

import logging
from collections.abc import Generator

import pytest
import structlog
from hypothesis import settings

# Shared machines stall for seconds: a property is judged by what it says, never by how long it took.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def fresh_logging() -> Generator[None]:
    """Each test has a standard error of its own: a logger that was set up in one must not write there in the next."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
