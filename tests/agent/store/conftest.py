"""A store in a fresh folder."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.store.store import Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "agent.db"


@pytest.fixture
async def store(path: Path) -> AsyncGenerator[Store]:
    async with open_store(path) as opened:
        yield opened
