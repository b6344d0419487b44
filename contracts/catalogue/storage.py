"""Storage registration (NEP-145): what it costs, and the step that registers an account before it can hold a token."""

from dataclasses import dataclass
from typing import Final

from contracts.calls import FunctionCall
from contracts.catalogue.arguments import compact_json
from contracts.errors import InvalidInput
from contracts.knowledge.facts import Absent, ChainFacts, StorageFact, StorageFacts
from contracts.knowledge.inert import inert
from contracts.types import TGAS, AccountId, Gas, Yocto, format_near

STORAGE_DEPOSIT_GAS: Final = Gas(10 * TGAS)
MAX_UNASKED_DEPOSIT: Final = Yocto(10**23)
"""0.1 NEAR; tokens usually ask 0.00125 NEAR."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What must go before a transfer so that its receiver can hold the token; empty where nothing must."""

    actions: tuple[FunctionCall, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def deposit(self) -> Yocto:
        return Yocto(sum(action.deposit for action in self.actions))


def registration(contract_id: AccountId, account_id: AccountId, facts: ChainFacts) -> Registration:
    """The step that registers the account, when the contract says that it is not; a note where it does not say.

    InvalidInput `storage_minimum_too_high` where the contract asks for more than MAX_UNASKED_DEPOSIT.
    """
    storage = facts.of(StorageFacts(contract_id, account_id), StorageFact)
    if isinstance(storage, Absent):
        unknown = (
            f"whether {account_id} is registered with {contract_id} is unknown "
            f"({inert(storage.detail, 120)}); if it is not, the transfer fails and nothing moves"
        )
        return Registration(notes=(unknown,))
    if storage.registered is not None:
        return Registration()
    check_minimum(contract_id, storage.minimum)
    return Registration(
        actions=(storage_deposit_action(account_id, Yocto(storage.minimum), registration_only=True),),
        notes=(f"registers {account_id} with {contract_id} ({format_near(storage.minimum)} NEAR)",),
    )


def check_minimum(contract_id: AccountId, minimum: int) -> None:
    """Refuse a storage minimum that nobody asked to pay: it is the contract's word, and a contract can say anything."""
    if minimum > MAX_UNASKED_DEPOSIT:
        raise InvalidInput(
            "storage_minimum_too_high",
            f"{contract_id} asks {format_near(minimum)} NEAR to register an account; more than "
            f"{format_near(MAX_UNASKED_DEPOSIT)} NEAR is paid only when you name it: "
            f"/storage_deposit {contract_id} ACCOUNT {format_near(minimum)}",
            details={"contract_id": contract_id, "minimum_yocto": str(minimum)},
        )


def storage_deposit_action(account_id: AccountId, deposit: Yocto, *, registration_only: bool) -> FunctionCall:
    """`registration_only` sends back whatever is above the contract's minimum."""
    args = compact_json(
        {"account_id": account_id, "registration_only": True} if registration_only else {"account_id": account_id}
    )
    return FunctionCall("storage_deposit", args, STORAGE_DEPOSIT_GAS, deposit)
