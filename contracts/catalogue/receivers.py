"""Who may receive and who is asked: whether an account is there, and what the requester must know where it is not."""

from contracts.catalogue.entry import BuildContext
from contracts.errors import InvalidInput, RpcError
from contracts.knowledge.facts import Absent, AccountFact, AccountFacts, ChainFacts, execution_reason
from contracts.knowledge.inert import quoted
from contracts.knowledge.names import nearest
from contracts.types import AccountId


def check_receiver(
    receiver_id: AccountId, facts: ChainFacts, context: BuildContext, *, created: bool = False
) -> tuple[str, ...]:
    """Notes for the card; `created`: what is sent would bring an implicit account to life.

    InvalidInput `account_missing` where nobody can receive under this name.
    """
    if isinstance(facts.of(AccountFacts(receiver_id), AccountFact), AccountFact):
        return ()
    if receiver_id.kind in {"near_implicit", "eth_implicit"}:
        yet = "does not exist yet and would be created" if created else "does not exist yet"
        return (f"warning: {receiver_id} {yet}; a wrong character in it loses what is sent",)
    raise missing_account(receiver_id, context)


def missing_account(account_id: AccountId, context: BuildContext) -> InvalidInput:
    """The refusal for an account that is not there, with the nearest one that the registry knows."""
    suggestion = _like(account_id, context)
    hint = f"; did you mean {suggestion}?" if suggestion else "; check the name, sending does not create it"
    return InvalidInput(
        "account_missing",
        f"{account_id} does not exist on {context.network}{hint}",
        details={"account_id": account_id, "nearest": suggestion},
    )


def missing_contract(contract_id: AccountId, absent: Absent, context: BuildContext) -> InvalidInput:
    """The refusal for a contract that is not there or has no code."""
    if absent.reason == "no_account":
        return missing_account(contract_id, context)
    return InvalidInput(
        "no_contract",
        f"{contract_id} has no contract on {context.network}, so it cannot be called",
        details={"contract_id": contract_id},
    )


def explain_absence(account_id: AccountId, error: RpcError, context: BuildContext) -> str | None:
    """Words for a view of an account or contract that is not there; None where it is."""
    match error.code:
        case "UNKNOWN_ACCOUNT":
            return f"{account_id} does not exist on {context.network}."
        case "NO_CONTRACT_CODE":
            return f"{account_id} has no contract on {context.network}."
        case _:
            return None


def explain_view(contract_id: AccountId, error: RpcError, context: BuildContext, *, otherwise: str) -> str | None:
    """Words for a view that a contract did not answer; `otherwise`: what to say of one that has no such method."""
    if error.code != "CONTRACT_EXECUTION_ERROR":
        return explain_absence(contract_id, error, context)
    if execution_reason(error) == "failed":
        return f"{contract_id} refused: {quoted(error.message)}"
    return otherwise


def _like(account_id: AccountId, context: BuildContext) -> str | None:
    registry = context.registry
    known = (*registry.account_ids, context.signer_id)
    if account_id.parent is None and f"{account_id}.{registry.account_suffix}" in known:
        return f"{account_id}.{registry.account_suffix}"
    # The end that all accounts of a network share would make any two of them alike.
    end = f".{registry.account_suffix}"
    if not account_id.endswith(end):
        return nearest(account_id, [name for name in known if name != account_id])
    names = {name.removesuffix(end): name for name in known if name != account_id}
    found = nearest(account_id.removesuffix(end), names)
    return names[found] if found else None
