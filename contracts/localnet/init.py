"""Keys and genesis of a new chain, made in a process of their own: `... -m contracts.localnet.init DATA_DIR [EPOCH_LENGTH]`.

Writes `localnet/credentials/ACCOUNT.json` (near-cli's form, mode 0600) and then, as the last step, `localnet/genesis.json`
with public keys only. Interrupted anywhere it can be run again: keys that are there are kept, and without a genesis file
no chain has used them.
"""

import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import base58
from nacl.signing import SigningKey

from contracts.errors import ChainError
from contracts.folders import make_private_folder
from contracts.private_files import DRAFT, open_private, write_private

USERS: Final = ("alice.localnet", "bob.localnet", "carol.localnet")
USER_BALANCE_YOCTO: Final = 10_000 * 10**24
EPOCH_LENGTH: Final = 43_200
"""Blocks, as on mainnet."""


def localnet_folder(data_dir: Path) -> Path:
    """Everything of the embedded chain lies here."""
    return data_dir / "localnet"


def genesis_path(data_dir: Path) -> Path:
    return localnet_folder(data_dir) / "genesis.json"


def chain_path(data_dir: Path) -> Path:
    return localnet_folder(data_dir) / "chain.sqlite"


def modules_path(data_dir: Path) -> Path:
    """The folder of compiled contracts."""
    return localnet_folder(data_dir) / "modules"


def init_command(data_dir: Path, epoch_length: int) -> list[str]:
    """The process that makes keys and genesis: private keys are made where the caller never sees them."""
    return [sys.executable, "-P", "-m", "contracts.localnet.init", str(data_dir), str(epoch_length)]


def init_localnet(data_dir: Path, epoch_length: int = EPOCH_LENGTH) -> None:
    """Make the credentials and the genesis file; does nothing where the genesis file is already there.

    `epoch_length` in blocks is the chain's for good.

    ChainError `genesis_missing` where a chain exists without its genesis file, `bad_credentials` for a credentials file
    that an earlier run cannot have written.
    """
    folder = localnet_folder(data_dir)
    credentials = folder / "credentials"
    make_private_folder(credentials)
    with _alone(folder / "init.lock"):
        if genesis_path(data_dir).exists():
            return
        if chain_path(data_dir).exists():
            raise ChainError(
                "genesis_missing",
                f"{chain_path(data_dir)} exists without {genesis_path(data_dir)}; restore that file, or move the whole"
                " folder away to begin a new chain",
            )
        for leftover in (*credentials.glob(f".*{DRAFT}"), *folder.glob(f".genesis.json*{DRAFT}")):
            leftover.unlink()
        accounts = [
            {
                "account_id": account_id,
                "public_key": _public_key(credentials / f"{account_id}.json", account_id),
                "amount": str(USER_BALANCE_YOCTO),
            }
            for account_id in USERS
        ]
        genesis = {
            "chain_id": "localnet",
            "genesis_time_ns": str(time.time_ns()),
            "accounts": accounts,
            "epoch_length": epoch_length,
        }
        write_private(genesis_path(data_dir), json.dumps(genesis, indent=2) + "\n")


def _public_key(path: Path, account_id: str) -> str:
    """The public key of a credentials file, which is made where it is not there."""
    if not path.exists():
        key = SigningKey(secrets.token_bytes(32))
        public = bytes(key.verify_key)
        secret = base58.b58encode(bytes(key) + public).decode()
        public_key = "ed25519:" + base58.b58encode(public).decode()
        key_file = {"account_id": account_id, "public_key": public_key, "private_key": f"ed25519:{secret}"}
        write_private(path, json.dumps(key_file, indent=2) + "\n")
        return public_key
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        secret = base58.b58decode(str(read["private_key"]).removeprefix("ed25519:"))
        public_key = "ed25519:" + base58.b58encode(bytes(SigningKey(secret[:32]).verify_key)).decode()
        matches = read["account_id"] == account_id and read["public_key"] == public_key
    except (ValueError, KeyError, TypeError):
        matches, public_key = False, ""
    if not matches:
        raise ChainError("bad_credentials", f"{path} is no key file of {account_id}; move it away and start again")
    return public_key


@contextmanager
def _alone(path: Path) -> Generator[None]:
    with os.fdopen(open_private(path), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    init_localnet(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
