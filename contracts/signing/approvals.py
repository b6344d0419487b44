"""What approvers sign when a grant is above the signer's caps, and how their signatures are counted.

An approver signs a NEP-413 message with any NEAR wallet; it names everything that the grant covers by its hash, so it is
good for those calls, this grant and this account only. The signer signs each step once, so it cannot be used twice.
"""

import hashlib

from contracts.calls import Grant
from contracts.signing.caps import ApproverSection
from contracts.signing.messages import Message, message_hash
from contracts.signing.signatures import verify

RECIPIENT = "near-agent"


def approval_message(grant_id: str, calls_hash: str, chain_id: str, signer_id: str) -> Message:
    """The NEP-413 payload that an approver signs. Its nonce follows from its text: the same approval is the same bytes."""
    text = f"near-agent approval\nchain: {chain_id}\naccount: {signer_id}\ngrant: {grant_id}\ncalls: {calls_hash}"
    return Message(text, RECIPIENT, hashlib.sha256(text.encode()).digest())


def approvers_of(grant: Grant, known: ApproverSection) -> int:
    """How many of the known approvers signed for this grant; each counts once."""
    digest = message_hash(approval_message(grant.grant_id, grant.calls_hash, grant.chain_id, grant.signer_id))
    return len(
        {
            one.public_key
            for one in grant.approvals
            if one.public_key in known.public_keys and verify(one.public_key, digest, one.signature)
        }
    )
