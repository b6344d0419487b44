"""What a new chain's first start takes longest for, begun while the rest of the program is still being loaded.

That is the chain's keys and the machine code of the contracts that genesis calls. Nothing depends on it: what is missing
afterwards `open_localnet` makes itself, and it is the one that says why something cannot be.
"""

import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.errors import ChainError, VmError
from contracts.folders import make_private_folder
from contracts.localnet.genesis import read_wasm
from contracts.localnet.genesis_contracts import genesis_calls, genesis_contracts
from contracts.localnet.init import chain_path, init_command, localnet_folder, modules_path
from contracts.types import CryptoHash
from contracts.vm.config import RuntimeConfig
from contracts.vm.engine import Engine


@contextmanager
def prepared(data_dir: Path, epoch_length_blocks: int) -> Generator[None]:
    """Prepare in a thread beside the body, and wait for it at the end. A chain that is there is left alone."""
    if chain_path(data_dir).exists():
        yield
        return
    thread = threading.Thread(target=_prepare, args=(data_dir, epoch_length_blocks), name="localnet-preparing")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _prepare(data_dir: Path, epoch_length: int) -> None:
    with suppress(OSError, ChainError):
        make_private_folder(localnet_folder(data_dir))
        with subprocess.Popen(  # noqa: S603 -- our own program
            init_command(data_dir, epoch_length),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            _compile(data_dir)


def _compile(data_dir: Path) -> None:
    """Into the chain's folder of compiled modules. The interpreter runs on meanwhile."""
    engine, limits, wasm = Engine(modules_path(data_dir)), RuntimeConfig().limits, read_wasm()
    called = {call.contract_id for call in genesis_calls()}
    for name in dict.fromkeys(contract.wasm for contract in genesis_contracts() if contract.account_id in called):
        if name is not None:
            with suppress(VmError):
                engine.load(CryptoHash.of(wasm[name]), wasm[name], limits)
