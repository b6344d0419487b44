"""The registry: symbols and contracts per network, never matched by what a contract calls itself."""

from dataclasses import replace
from typing import Any

import pytest

from contracts.errors import InvalidInput
from contracts.knowledge.registry import Network, Registry, TokenEntry, known_codes
from contracts.types import AccountId, CryptoHash

HASH = CryptoHash.of(b"x")
NETWORKS: tuple[Network, ...] = ("localnet", "testnet", "mainnet")


def refused(code: str) -> Any:
    return pytest.raises(InvalidInput, check=lambda error: error.code == code)


@pytest.mark.parametrize(
    ("network", "symbol", "contract_id", "decimals"),
    [
        ("mainnet", "wNEAR", "wrap.near", 24),
        ("mainnet", "USDC", "17208628f84f5d6ad33f0da3bbbeb27ffcb398eac501a31bd6ad2011e36133a1", 6),
        ("mainnet", "USDT", "usdt.tether-token.near", 6),
        ("testnet", "wNEAR", "wrap.testnet", 24),
        ("testnet", "USDC", "3e2210e1184b45b64c8a434c0a7e7b23cc04ea7eb7a6c3c32520d03d4afcb8af", 6),
        ("testnet", "USDT", "usdt.fakes.testnet", 6),
        ("testnet", "fUSDC", "usdc.fakes.testnet", 6),
        ("localnet", "wNEAR", "wrap.localnet", 24),
        ("localnet", "USDC", "usdc.localnet", 6),
        ("localnet", "USDT", "usdt.localnet", 6),
    ],
)
def test_known_tokens(network: Network, symbol: str, contract_id: str, decimals: int) -> None:
    registry = Registry.for_network(network)
    token = registry.token(symbol)
    assert (token.contract_id, token.decimals, token.symbol) == (contract_id, decimals, symbol)
    assert registry.token(symbol.lower()) == registry.token(symbol.upper()) == registry.token(contract_id) == token


@pytest.mark.parametrize("network", NETWORKS)
def test_every_entry_names_its_source_and_symbols_are_unambiguous(network: Network) -> None:
    registry = Registry.for_network(network)
    assert all(token.source for token in registry.tokens)
    assert all(known.source for known in registry.accounts)
    assert len(registry.by_symbol) == len(registry.symbols) == len(registry.tokens)
    assert len({token.contract_id for token in registry.tokens}) == len(registry.tokens)
    assert registry.wrap_id == registry.token("wNEAR").contract_id


def test_near_is_no_token_contract() -> None:
    with refused("native_token") as error:
        Registry.for_network("localnet").token("near")
    assert "near_transfer" in error.value.message


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("USCD", "USDC"), ("usdx", "USDC"), ("WNEAR2", "wNEAR"), ("DOGE", None), ("", None), ("a b", None)],
)
def test_an_unknown_symbol_is_refused_with_the_nearest(text: str, nearest: str | None) -> None:
    with refused("unknown_token") as error:
        Registry.for_network("localnet").token(text)
    assert error.value.details["nearest"] == nearest
    assert "wNEAR, USDC, USDT" in error.value.message


@pytest.mark.parametrize("contract", ["token.localnet", "usdc.other.localnet", "aurora", "f" * 64])
def test_another_contract_is_taken_by_its_id_without_decimals(contract: str) -> None:
    token = Registry.for_network("localnet").token(contract)
    assert (token.contract_id, token.symbol, token.decimals, token.name) == (contract, None, None, contract)


def test_a_symbol_that_several_contracts_claim_is_asked_about() -> None:
    other = TokenEntry(contract_id=AccountId("usd.localnet"), symbol="usdc", decimals=6, source="added by the admin")
    registry = Registry.for_network("localnet")
    registry = replace(registry, tokens=(*registry.tokens, other))
    with refused("ambiguous_token") as error:
        registry.token("USDC")
    assert error.value.details["readings"] == ["usdc.localnet", "usd.localnet"]
    assert "USDC of usdc.localnet (genesis of the embedded chain); usdc of usd.localnet (added by the admin)" in (
        error.value.message
    )
    assert registry.token("usdc.localnet").symbol == "USDC"
    assert registry.token("USDT").contract_id == "usdt.localnet"


def test_letters_that_only_look_latin_are_named() -> None:
    with refused("token_not_ascii") as error:
        Registry.for_network("localnet").token("USD\u0421")
    assert "U+0421" in error.value.message


def test_a_contract_that_looks_like_a_known_token_is_refused() -> None:
    with refused("token_looks_alike") as error:
        Registry.for_network("localnet").token("usdc.1ocalnet")
    assert error.value.details["nearest"] == "usdc.localnet"
    assert "the token USDC" in error.value.message


def test_links_exist_where_there_is_an_explorer() -> None:
    assert Registry.for_network("mainnet").explorer_tx(HASH) == f"https://nearblocks.io/txns/{HASH}"
    assert Registry.for_network("testnet").explorer_tx(HASH) == f"https://testnet.nearblocks.io/txns/{HASH}"
    assert Registry.for_network("localnet").explorer_tx(HASH) is None


def test_contracts_are_found_by_id() -> None:
    registry = Registry.for_network("localnet")
    found = registry.of_contract("usdt.localnet")
    assert found is not None
    assert found.symbol == "USDT"
    assert registry.of_contract("USDT") is None
    assert AccountId("alice.localnet") in registry.account_ids


def test_known_codes_are_told_once_each_with_their_source() -> None:
    codes = known_codes()
    assert len({entry.code_hash for entry in codes}) == len(codes) > 0
    assert all(entry.about and " at " in entry.source for entry in codes)
