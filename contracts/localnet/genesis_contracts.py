"""What stands on a new chain beside its users: contracts, in the order they are deployed, and the calls made on them.

A chain keeps the contracts it was begun with: one that is added here is on every chain begun afterwards.
"""

from dataclasses import dataclass, field
from typing import Final

from contracts.types import AccountId, CryptoHash, JsonObject, JsonValue, PublicKey

NEAR: Final = 10**24
_CONTRACT_BALANCE: Final = 1_000 * NEAR
_ROOT_BALANCE: Final = 1_000_000 * NEAR
_TOKEN_SUPPLY: Final = 10**9 * 10**6
_USER_TOKENS: Final = 10_000 * 10**6
_TOKEN_HOLDERS: Final = ("alice.localnet", "bob.localnet")
_COUNCIL: Final = ("alice.localnet", "bob.localnet", "carol.localnet")
_TREASURY: Final = 1_000 * 10**6
_REGISTRATION: Final = NEAR // 100
"""More than a registration costs; the token sends the rest back."""
_POOLS: Final = (
    (("wrap.localnet", 100_000 * NEAR), ("usdc.localnet", 500_000 * 10**6), 30),
    (("usdc.localnet", 1_000_000 * 10**6), ("usdt.localnet", 1_000_000 * 10**6), 5),
)
"""Two tokens with what the exchange's pool begins with, and its fee in hundredths of a percent."""


@dataclass(frozen=True, slots=True)
class GenesisContract:
    account_id: AccountId
    wasm: str | None
    """Name of the file in `wasm/`, without its ending; None for an account without code."""
    balance: int = _CONTRACT_BALANCE
    """yoctoNEAR."""


@dataclass(frozen=True, slots=True)
class GenesisCall:
    """A call at genesis. It and all that follows from it must succeed, or there is no chain."""

    contract_id: AccountId
    method_name: str
    args: JsonObject = field(default_factory=dict[str, JsonValue])
    deposit: int = 0
    """yoctoNEAR, taken from the caller."""
    caller_id: AccountId | None = None
    """The predecessor and signer; None for the contract itself."""


def genesis_contracts() -> tuple[GenesisContract, ...]:
    return tuple(GenesisContract(AccountId(account_id), wasm, balance) for account_id, wasm, balance in _DEPLOYED)


def genesis_calls() -> tuple[GenesisCall, ...]:
    """In the order they run: a call may build on those before it."""
    return (
        GenesisCall(AccountId("wrap.localnet"), "new"),
        *_token("usdc.localnet", "USD Coin", "USDC"),
        *_token("usdt.localnet", "Tether USD", "USDT"),
        _pool("pool.localnet", "localnet"),
        *_dao("dao.localnet", "usdc.localnet"),
        _collection("nft.localnet", "alice.localnet"),
        *_exchange("exchange.localnet", "localnet"),
    )


_DEPLOYED: Final = (
    ("localnet", "registrar", _ROOT_BALANCE),
    ("wrap.localnet", "wnear", _CONTRACT_BALANCE),
    ("usdc.localnet", "ft", _CONTRACT_BALANCE),
    ("usdt.localnet", "ft", _CONTRACT_BALANCE),
    ("counter.localnet", "counter", _CONTRACT_BALANCE),
    ("guestbook.localnet", "guestbook", _CONTRACT_BALANCE),
    ("pool.localnet", "pool", _CONTRACT_BALANCE),
    ("dao.localnet", "dao", _CONTRACT_BALANCE),
    ("nft.localnet", "nft", _CONTRACT_BALANCE),
    ("exchange.localnet", "exchange", _CONTRACT_BALANCE),
)


def _pool(pool_id: str, owner_id: str) -> GenesisCall:
    """A staking pool that keeps a tenth of the rewards for its owner. It stakes all it has with a key that nobody holds."""
    key = PublicKey.from_bytes("ed25519", CryptoHash.of(pool_id.encode()).raw)
    fee: JsonObject = {"numerator": 10, "denominator": 100}
    new: JsonObject = {"owner_id": owner_id, "stake_public_key": key, "reward_fee_fraction": fee}
    return GenesisCall(AccountId(pool_id), "new", new)


def _token(token_id: str, name: str, symbol: str) -> list[GenesisCall]:
    """A token of 6 decimals; its supply belongs to itself, and some of it to the first users."""
    token = AccountId(token_id)
    metadata: JsonObject = {"spec": "ft-1.0.0", "name": name, "symbol": symbol, "decimals": 6}
    new: JsonObject = {"owner_id": token_id, "total_supply": str(_TOKEN_SUPPLY), "metadata": metadata}
    calls = [GenesisCall(token, "new", new)]
    for holder in _TOKEN_HOLDERS:
        registration: JsonObject = {"account_id": holder, "registration_only": True}
        calls.append(GenesisCall(token, "storage_deposit", registration, _REGISTRATION))
        calls.append(GenesisCall(token, "ft_transfer", {"receiver_id": holder, "amount": str(_USER_TOKENS)}, deposit=1))
    return calls


def _dao(dao_id: str, token_id: str) -> list[GenesisCall]:
    """A DAO of the first users, with some of a token to pay out."""
    config: JsonObject = {"name": "Localnet DAO", "purpose": "to pay those who built this chain", "metadata": ""}
    registration: JsonObject = {"account_id": dao_id, "registration_only": True}
    token = AccountId(token_id)
    return [
        GenesisCall(AccountId(dao_id), "new", {"config": config, "policy": list(_COUNCIL)}),
        GenesisCall(token, "storage_deposit", registration, _REGISTRATION),
        GenesisCall(token, "ft_transfer", {"receiver_id": dao_id, "amount": str(_TREASURY)}, deposit=1),
    ]


def _collection(collection_id: str, owner_id: str) -> GenesisCall:
    """NFTs that the owner mints; there are none at first."""
    metadata: JsonObject = {"spec": "nft-1.0.0", "name": "Localnet NFTs", "symbol": "LNFT"}
    return GenesisCall(AccountId(collection_id), "new", {"owner_id": owner_id, "metadata": metadata})


def _exchange(exchange_id: str, provider_id: str) -> list[GenesisCall]:
    """An exchange with pools whose shares belong to its owner, who wraps NEAR and is given tokens for them."""
    exchange, provider = AccountId(exchange_id), AccountId(provider_id)
    tokens = list(dict.fromkeys(token_id for first, second, _ in _POOLS for token_id, _ in (first, second)))
    calls = [
        GenesisCall(exchange, "new", {"owner_id": provider_id}),
        GenesisCall(exchange, "extend_whitelisted_tokens", {"tokens": [*tokens]}, 1, provider),
        GenesisCall(exchange, "storage_deposit", {}, NEAR // 10, provider),
    ]
    for token_id in tokens:
        amount = sum(part for first, second, _ in _POOLS for of, part in (first, second) if of == token_id)
        calls += _deposited(AccountId(token_id), exchange, provider, amount)
    for place, (first, second, fee) in enumerate(_POOLS):
        pool: JsonObject = {"tokens": [first[0], second[0]], "fee": fee}
        liquidity: JsonObject = {"pool_id": place, "amounts": [str(first[1]), str(second[1])]}
        calls.append(GenesisCall(exchange, "add_simple_pool", pool, _REGISTRATION, provider))
        calls.append(GenesisCall(exchange, "add_liquidity", liquidity, _REGISTRATION, provider))
    return calls


def _deposited(token: AccountId, exchange: AccountId, provider: AccountId, amount: int) -> list[GenesisCall]:
    calls = [
        GenesisCall(token, "storage_deposit", {"account_id": holder, "registration_only": True}, _REGISTRATION)
        for holder in (exchange, provider)
    ]
    if token == AccountId("wrap.localnet"):
        calls.append(GenesisCall(token, "near_deposit", {}, amount, provider))
    else:
        calls.append(GenesisCall(token, "ft_transfer", {"receiver_id": provider, "amount": str(amount)}, 1))
    deposit: JsonObject = {"receiver_id": exchange, "amount": str(amount), "msg": ""}
    return [*calls, GenesisCall(token, "ft_transfer_call", deposit, 1, provider)]
