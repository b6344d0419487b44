"""A transaction that the operator's own command approves: its intent, and the grant that the command is."""

from collections.abc import Callable
from typing import Final

from contracts.calls import ChangeCall, Grant
from contracts.chain.ledger import Intent
from contracts.signing.transaction import call_digest, calls_hash
from contracts.types import AccountId

CHANNEL: Final = "operator"


def operator_call(
    intent_id: str,
    request_id: str,
    step: int,
    call: ChangeCall,
    *,
    chain_id: str,
    signer_id: AccountId,
    key_id: str,
    ttl_s: float,
    clock: Callable[[], float],
    fences: str | None = None,
) -> tuple[Intent, Grant]:
    """One call's intent, in state `planned`, and its grant, good for `ttl_s` seconds."""
    now, digest = clock(), calls_hash(chain_id, signer_id, [call])
    grant = Grant(
        grant_id=f"grant:{intent_id}",
        calls_hash=digest,
        call_digests=(call_digest(call),),
        chain_id=chain_id,
        signer_id=signer_id,
        identity=key_id,
        channel=CHANNEL,
        expires_at=now + ttl_s,
    )
    intent = Intent(
        intent_id=intent_id,
        request_id=request_id,
        step=step,
        chain_id=chain_id,
        signer_id=signer_id,
        call=call,
        calls_hash=digest,
        state="planned",
        created_at=now,
        updated_at=now,
        fences=fences,
    )
    return intent, grant
