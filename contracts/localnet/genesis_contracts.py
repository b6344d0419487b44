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
