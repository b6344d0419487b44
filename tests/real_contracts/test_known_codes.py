"""The hashes of released code in the registry's data are those of the released files."""

from collections.abc import Callable

import pytest

from contracts.knowledge.registry import known_codes
from contracts.types import CryptoHash


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("w_near", "wrapped NEAR, near/core-contracts"),
        ("staking_pool", "staking pool, near/core-contracts"),
        ("whitelist", "whitelist of staking pools, near/core-contracts"),
        ("sputnikdao2", "DAO, sputnik-dao v2"),
        ("ref_exchange", "exchange, ref-exchange"),
    ],
)
def test_a_released_contract_is_known_by_its_hash(real_wasm: Callable[[str], bytes], name: str, about: str) -> None:
    found = [entry.about for entry in known_codes() if entry.code_hash == CryptoHash.of(real_wasm(name))]
    assert found == [about]
