"""Code of the embedded chain's contracts, for worlds that are scripted."""

from pathlib import Path

WASM = Path(__file__).parents[2] / "contracts" / "localnet" / "wasm"


def codes() -> dict[str, bytes]:
    """Contract -> wasm."""
    names = {"usdc.localnet": "ft", "guestbook.localnet": "guestbook", "nft.localnet": "nft", "dao.localnet": "dao"}
    return {account_id: (WASM / f"{name}.wasm").read_bytes() for account_id, name in names.items()}
