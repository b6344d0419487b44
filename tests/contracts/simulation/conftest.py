"""A chain made once for the session; each file of tests works on a copy."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contracts.simulation.world import World, copied_world


@pytest.fixture(scope="session")
def chain_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulation_template")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(chain_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    async with copied_world(chain_template, tmp_path_factory.mktemp("simulation") / "data") as opened:
        yield opened
