"""Methods of the standards that a call can name, read as typed actions. Pure.

What a method name says is a claim of the contract. Sources: NEP-141, 145, 171, 178, 199; sputnik-dao v2, ref-exchange and
staking-pool sources.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from pydantic import JsonValue

from contracts.types import U128_MAX, AccountId, JsonObject, base_units

Category: TypeAlias = Literal[
    "keys",
    "deletion",
    "deploy",
    "owner_change",
    "unusual_action",
    "unknown_method",
    "raw_arguments",
    "nft_approve",
    "dao",
    "no_minimum_out",
    "first_recipient",
    "unread_amount",
]
"""Kinds of calls that a person is always asked about."""
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)

NFT_PREFIX: Final = "nft:"
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


Found: TypeAlias = tuple[str, tuple[tuple[str, int], ...], tuple[Category, ...]]
"""Action, tokens, categories."""
Reader: TypeAlias = Callable[[AccountId, JsonObject], Found]


def _units(value: JsonValue) -> int:
    """An amount in arguments; one that is none counts as everything there can be."""
    units = base_units(value)
    if units is not None:
        return units
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= U128_MAX:
        return value
    return U128_MAX


def _plain(action: str, *categories: Category) -> Reader:
    def read(_contract_id: AccountId, _arguments: JsonObject) -> Found:
        return action, (), categories

    return read


def _own_token(action: str) -> Reader:
    def read(contract_id: AccountId, arguments: JsonObject) -> Found:
        return action, ((contract_id, _units(arguments.get("amount"))),), ()

    return read


def _own_nft(action: str, *categories: Category) -> Reader:
    def read(contract_id: AccountId, _arguments: JsonObject) -> Found:
        return action, ((f"{NFT_PREFIX}{contract_id}", 1),), categories

    return read


def _swap(_contract_id: AccountId, arguments: JsonObject) -> Found:
    """ref-exchange's own `swap`: what goes in is the first step's, later steps swap what came out."""
    steps = arguments.get("actions")
    tokens = tuple(
        (str(step["token_in"]), _units(step["amount_in"]))
        for step in (steps if isinstance(steps, list) else ())
        if isinstance(step, dict) and "token_in" in step and step.get("amount_in") is not None
    )
    return "swap", tokens, () if tokens else ("unknown_method",)


def _propose(_contract_id: AccountId, arguments: JsonObject) -> Found:
    """sputnik-dao's `add_proposal`: a payment, or anything else that a DAO can be made to do."""
    match arguments.get("proposal"):
        case {"kind": {"Transfer": _, **rest}} if not rest:
            return "dao_propose_transfer", (), ("dao",)
        case _:
            return "contract_call", (), ("dao", "unknown_method")


def _unregister(_contract_id: AccountId, _arguments: JsonObject) -> Found:
    return "storage_unregister", (), ("deletion",)


def _withdraw(contract_id: AccountId, arguments: JsonObject) -> Found:
    """A staking pool's, or with a token id an exchange's: what comes back belongs to the signer already."""
    del contract_id
    return ("exchange_withdraw" if "token_id" in arguments else "stake_withdraw"), (), ()


KNOWN: Final[Mapping[str, Reader]] = {
    "ft_transfer": _own_token("ft_transfer"),
    "ft_transfer_call": _own_token("ft_transfer_call"),
    "near_deposit": _plain("near_wrap"),
    "near_withdraw": _own_token("near_unwrap"),
    "storage_deposit": _plain("storage_deposit"),
    "storage_withdraw": _plain("storage_withdraw"),
    "storage_unregister": _unregister,
    "nft_transfer": _own_nft("nft_transfer"),
    "nft_transfer_call": _own_nft("nft_transfer"),
    "nft_approve": _own_nft("nft_approve", "nft_approve"),
    "nft_revoke": _plain("nft_revoke"),
    "nft_revoke_all": _plain("nft_revoke"),
    "nft_mint": _plain("nft_mint"),
    "deposit_and_stake": _plain("stake"),
    "deposit": _plain("stake"),
    "stake": _plain("stake"),
    "stake_all": _plain("stake"),
    "unstake": _plain("unstake"),
    "unstake_all": _plain("unstake"),
    "withdraw": _withdraw,
    "withdraw_all": _plain("stake_withdraw"),
    "act_proposal": _plain("dao_vote", "dao"),
    "add_proposal": _propose,
    "swap": _swap,
    "create_account": _plain("account_create"),
}
_TRANSFER: Final = frozenset({"receiver_id", "amount", "memo"})
_NFT_TRANSFER: Final = frozenset({"receiver_id", "token_id", "approval_id", "memo"})
_AMOUNT: Final = frozenset({"amount"})
_NO_ARGUMENTS: Final[frozenset[str]] = frozenset()
ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "ft_transfer": _TRANSFER,
    "ft_transfer_call": _TRANSFER | {"msg"},
    "near_deposit": _NO_ARGUMENTS,
    "near_withdraw": _AMOUNT,
    "storage_deposit": frozenset({"account_id", "registration_only"}),
    "storage_withdraw": _AMOUNT,
    "storage_unregister": frozenset({"force"}),
    "nft_transfer": _NFT_TRANSFER,
    "nft_transfer_call": _NFT_TRANSFER | {"msg"},
    "nft_approve": frozenset({"token_id", "account_id", "msg"}),
    "nft_revoke": frozenset({"token_id", "account_id"}),
    "nft_revoke_all": frozenset({"token_id"}),
    "nft_mint": frozenset({"token_id", "token_owner_id", "receiver_id", "token_metadata", "metadata"}),
    "deposit_and_stake": _NO_ARGUMENTS,
    "deposit": _NO_ARGUMENTS,
    "stake": _AMOUNT,
    "stake_all": _NO_ARGUMENTS,
    "unstake": _AMOUNT,
    "unstake_all": _NO_ARGUMENTS,
    "withdraw": _AMOUNT | {"token_id", "unregister", "skip_unwrap_near"},
    "withdraw_all": _NO_ARGUMENTS,
    "act_proposal": frozenset({"id", "action", "memo", "proposal"}),
    "add_proposal": frozenset({"proposal"}),
    "swap": frozenset({"actions", "referral_id"}),
    "create_account": frozenset({"new_account_id", "new_public_key"}),
}
"""What the standard's method takes. With anything else it is another method of the same name, and nobody knows which:
`withdraw` of a bridged token sends it to whatever address stands beside the amount."""
