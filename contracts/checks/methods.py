"""Methods of the standards that a call can name, read as typed actions. Pure.

What a method name says is a claim of the contract. Sources: NEP-141, 145, 171, 178, 199; sputnik-dao v2, ref-exchange and
staking-pool sources.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from pydantic import JsonValue

from contracts.knowledge.registry import NEAR_SYMBOL
from contracts.types import U128_MAX, AccountId, JsonObject, base_units

Category: TypeAlias = Literal[
    "keys",
    "deletion",
    "deploy",
    "owner_change",
    "unusual_action",
    "unknown_method",
    "nft_approve",
    "dao",
    "no_minimum_out",
    "first_recipient",
    "unread_amount",
    "unread_arguments",
]
"""Kinds of calls that a person is always asked about."""
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

NFT_PREFIX: Final = "nft:"
EVERY: Final = "*"
"""In place of a token's id: every token, and NEAR."""
OTHER_ACTIONS: Final = (
    "exchange_withdraw",
    "deploy_contract",
    "deploy_global_contract",
    "use_global_contract",
    "transfer_to_gas_key",
    "withdraw_from_gas_key",
    "deterministic_state_init",
    "delegate",
)
"""Names of actions beside the catalogue's."""


@dataclass(frozen=True, slots=True)
class Found:
    """One call of a known method, read."""

    action: str
    """The catalogue's name."""
    tokens: tuple[tuple[str, int], ...] = ()
    """Tokens that leave the signer at most, in base units."""
    categories: tuple[Category, ...] = ()
    staked: int = 0
    """NEAR that moves within a staking pool and stays the signer's, in yocto."""


Reader: TypeAlias = Callable[[AccountId, JsonObject], Found | None]
"""Reads a known method's fields; None if a part of them stays unread."""


@dataclass(frozen=True, slots=True)
class Known:
    """A method of a standard."""

    actions: tuple[str, ...]
    """The catalogue's names of what it can turn out to be."""
    arguments: frozenset[str]
    """The fields that the standard's method takes. With any other it is another method of the same name, and nobody knows
    which: `withdraw` of a bridged token sends it to whatever address stands beside the amount."""
    read: Reader
    can_move: Literal["token", "nft", "near", "every"] = "token"
    """The most that it can move, counted in full if its arguments stay unread."""

    def unread(self, contract_id: AccountId) -> Found:
        """A call whose arguments this reader cannot read and the contract perhaps can: all that it could move."""
        token = {
            "token": str(contract_id),
            "nft": f"{NFT_PREFIX}{contract_id}",
            "near": NEAR_SYMBOL,
            "every": EVERY,
        }[self.can_move]
        return Found("contract_call", ((token, U128_MAX),), ("unread_arguments",))


def _units(value: JsonValue) -> int:
    """An amount in arguments; one that is none counts as everything there can be."""
    units = base_units(value)
    if units is not None:
        return units
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= U128_MAX:
        return value
    return U128_MAX


def _plain(action: str, *fields: str, categories: tuple[Category, ...] = (), nft: bool = False) -> Known:
    """A method whose arguments move nothing: what it costs is attached."""

    def read(_contract_id: AccountId, _arguments: JsonObject) -> Found:
        return Found(action, (), categories)

    return Known((action,), frozenset(fields), read, "nft" if nft else "token")


def _own_token(action: str, *fields: str) -> Known:
    def read(contract_id: AccountId, arguments: JsonObject) -> Found:
        return Found(action, ((contract_id, _units(arguments.get("amount"))),))

    return Known((action,), frozenset(fields), read)


def _own_nft(action: str, *fields: str, categories: tuple[Category, ...] = ()) -> Known:
    def read(contract_id: AccountId, _arguments: JsonObject) -> Found:
        return Found(action, ((f"{NFT_PREFIX}{contract_id}", 1),), categories)

    return Known((action,), frozenset(fields), read, "nft")


def _pool_part(action: str) -> Known:
    """A staking pool's method that moves an amount between what is staked and what is not."""

    def read(_contract_id: AccountId, arguments: JsonObject) -> Found:
        return Found(action, staked=_units(arguments.get("amount")))

    return Known((action,), frozenset({"amount"}), read, "near")


def _pool_all(action: str) -> Known:
    """The same for all that is there: no amount stands in it."""

    def read(_contract_id: AccountId, _arguments: JsonObject) -> Found:
        return Found(action, staked=U128_MAX)

    return Known((action,), frozenset(), read, "near")


def _pool_deposit(action: str) -> Known:
    """A pool's method that moves what is attached."""

    def read(_contract_id: AccountId, _arguments: JsonObject) -> Found:
        return Found(action)

    return Known((action,), frozenset(), read, "near")


def _swap(_contract_id: AccountId, arguments: JsonObject) -> Found | None:
    """ref-exchange's own `swap`: what goes in is the first step's, later steps swap what came out.

    A step without an amount takes as many units as the step right before it gave, of its own `token_in`: another token than
    that one gave would be taken unseen, so such a swap stays unread. serde also reads a step from an array, whose fields no
    name tells: unread as well. Source: ref-exchange `internal_execute_action`.
    """
    steps = arguments.get("actions")
    if not isinstance(steps, list):
        return None
    tokens: list[tuple[str, int]] = []
    given: JsonValue = None
    for step in steps:
        match step:
            case {"token_in": str(token_id)}:
                if step.get("amount_in") is not None:
                    tokens.append((token_id, _units(step["amount_in"])))
                elif token_id != given:
                    return None
                given = step.get("token_out")
            case _:
                return None
    return Found("swap", tuple(tokens), () if tokens else ("unknown_method",))


def _unregister(contract_id: AccountId, arguments: JsonObject) -> Found:
    """By force it burns what the account still has of the token (NEP-145)."""
    burns = arguments.get("force") not in (None, False)
    return Found("storage_unregister", ((contract_id, U128_MAX),) if burns else (), ("deletion",))


def _propose(_contract_id: AccountId, arguments: JsonObject) -> Found | None:
    """sputnik-dao's `add_proposal`: a payment, or anything else that a DAO can be made to do."""
    match arguments.get("proposal"):
        case {"kind": {"Transfer": {}, **rest}} if not rest:
            return Found("dao_propose_transfer", (), ("dao",))
        case {"kind": {"FunctionCall": {"actions": [*calls]}, **rest}} if not rest:
            return Found("contract_call", (), _ANY_DEED) if all(isinstance(call, dict) for call in calls) else None
        case {"kind": {"FunctionCall": _, **rest}} if not rest:
            return None
        case {"kind": {**kinds}} if all(isinstance(body, dict | None) for body in kinds.values()):
            return Found("contract_call", (), _ANY_DEED)
        case {"kind": str()}:
            return Found("contract_call", (), _ANY_DEED)
        case _:
            return None


_ANY_DEED: Final[tuple[Category, ...]] = ("dao", "unknown_method")


def _withdraw(_contract_id: AccountId, arguments: JsonObject) -> Found:
    """A staking pool's, or with a token id an exchange's: what comes back belongs to the signer already."""
    return Found("exchange_withdraw" if "token_id" in arguments else "stake_withdraw")


_NFT_TRANSFER: Final = ("receiver_id", "token_id", "approval_id", "memo")
KNOWN: Final[Mapping[str, Known]] = {
    "ft_transfer": _own_token("ft_transfer", "receiver_id", "amount", "memo"),
    "ft_transfer_call": _own_token("ft_transfer_call", "receiver_id", "amount", "memo", "msg"),
    "near_deposit": _plain("near_wrap"),
    "near_withdraw": _own_token("near_unwrap", "amount"),
    "storage_deposit": _plain("storage_deposit", "account_id", "registration_only"),
    "storage_withdraw": _plain("storage_withdraw", "amount"),
    "storage_unregister": Known(("storage_unregister",), frozenset({"force"}), _unregister),
    "nft_transfer": _own_nft("nft_transfer", *_NFT_TRANSFER),
    "nft_transfer_call": _own_nft("nft_transfer", *_NFT_TRANSFER, "msg"),
    "nft_approve": _own_nft("nft_approve", "token_id", "account_id", "msg", categories=("nft_approve",)),
    "nft_revoke": _plain("nft_revoke", "token_id", "account_id", nft=True),
    "nft_revoke_all": _plain("nft_revoke", "token_id", nft=True),
    "nft_mint": _plain("nft_mint", "token_id", "token_owner_id", "receiver_id", "token_metadata", "metadata", nft=True),
    "deposit_and_stake": _pool_deposit("stake"),
    "deposit": _pool_deposit("stake"),
    "stake": _pool_part("stake"),
    "stake_all": _pool_all("stake"),
    "unstake": _pool_part("unstake"),
    "unstake_all": _pool_all("unstake"),
    "withdraw": Known(
        ("stake_withdraw", "exchange_withdraw"),
        frozenset({"amount", "token_id", "unregister", "skip_unwrap_near"}),
        _withdraw,
        "every",
    ),
    "withdraw_all": _pool_deposit("stake_withdraw"),
    "act_proposal": Known(
        ("dao_vote",),
        frozenset({"id", "action", "memo", "proposal"}),
        lambda _contract_id, _arguments: Found("dao_vote", (), ("dao",)),
        "every",
    ),
    "add_proposal": Known(("dao_propose_transfer",), frozenset({"proposal"}), _propose, "every"),
    "swap": Known(("swap",), frozenset({"actions", "referral_id"}), _swap, "every"),
    "create_account": _plain("account_create", "new_account_id", "new_public_key"),
}
