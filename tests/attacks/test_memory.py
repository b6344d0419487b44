"""What a daemon that really signs has in its memory: no private key, in no form in which one is written down."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import base58

from contracts.signing.keypair import SecretKey
from tests.e2e.programs import daemon

USERS = ("alice.localnet", "bob.localnet", "carol.localnet")


def forms_of(key_file: Path) -> dict[str, bytes]:
    """Every way in which the secret of a key file could lie in memory."""
    text: str = json.loads(key_file.read_text())["private_key"].removeprefix("ed25519:")
    raw = base58.b58decode(text)
    seed = raw[:32]
    return {
        "seed": seed,
        "base58 of seed and public key": text.encode(),
        "base58 of the seed": base58.b58encode(seed),
        "hex": seed.hex().encode(),
        "HEX": seed.hex().upper().encode(),
        "base64": base64.b64encode(seed).rstrip(b"="),
        "base64 of seed and public key": base64.b64encode(raw)[:80],
        "utf-16": text.encode("utf-16-le"),
    }


def memory_of(pid: int) -> Iterator[bytes]:
    """Readable memory, region by region."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            where, rights, *_ = line.split()
            begin, end = (int(part, 16) for part in where.split("-"))
            if rights[0] != "r" or "[v" in line:
                continue
            memory.seek(begin)
            try:
                yield memory.read(end - begin)
            except OSError:
                continue


def test_no_private_key_is_in_the_memory_of_a_daemon_that_signs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with daemon(folder) as running:
        card = running.say("/near_transfer bob.localnet 1")
        done = running.say(f"confirm {card.facts['confirm_code']}")
        assert done.facts["status"] == "executed"
        files = {name: folder / "localnet" / "credentials" / f"{name}.json" for name in USERS}
        secrets = {(name, form): value for name, path in files.items() for form, value in forms_of(path).items()}
        public = SecretKey.parse(json.loads(files["alice.localnet"].read_text())["private_key"]).public_key
        found: set[tuple[str, str]] = set()
        public_found = False
        for region in memory_of(running.process.pid):
            found |= {name for name, value in secrets.items() if value in region}
            public_found = public_found or public.removeprefix("ed25519:").encode() in region
        assert public_found, "the scan sees what is there"
        assert found == set()
        assert running.terminate() == 0
