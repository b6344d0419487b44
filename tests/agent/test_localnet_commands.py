"""The commands for the embedded chain's time."""

import asyncio
import json
from pathlib import Path

from contracts.localnet.server import open_localnet
from tests.agent.test_cli import Cli


async def test_epochs_are_moved_on_from_another_process(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    async with open_localnet(tmp_path / "data", "127.0.0.1:0", epoch_length_blocks=50) as localnet:
        address = {"NEAR_AGENT_NETWORKS__LOCALNET__RPC": json.dumps([localnet.rpc_url])}
        done = await asyncio.to_thread(cli.json, "localnet", "advance-epochs", "4", more=address)
        assert done == {"epoch_height": 4, "epoch_length": 50, "advanced": 4}
        said = await asyncio.to_thread(cli, "localnet", "advance-epochs", **address)
        assert (said.exit_code, said.stdout) == (0, "1 x 50 blocks further: epoch 5\n")
        assert localnet.chain.head.height >= 250


async def test_a_chain_that_others_can_reach_is_not_moved(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    async with open_localnet(tmp_path / "data", "0.0.0.0:0") as localnet:
        url = localnet.rpc_url.replace("0.0.0.0", "127.0.0.1")
        address = {"NEAR_AGENT_NETWORKS__LOCALNET__RPC": json.dumps([url])}
        done = await asyncio.to_thread(cli, "localnet", "advance-epochs", **address)
    assert done.exit_code == 4
    assert "loopback" in done.stderr


def test_without_a_chain_or_off_localnet_nothing_moves(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "data")
    nobody = {"NEAR_AGENT_NETWORKS__LOCALNET__RPC": '["http://127.0.0.1:9"]'}
    assert cli("localnet", "advance-epochs", **nobody).exit_code == 6
    assert cli("localnet", "advance-epochs", NEAR_AGENT_NETWORK="testnet").exit_code == 2
