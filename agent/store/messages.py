"""Signed messages in SQL: each consumes a grant in the transaction that stores it."""

from sqlalchemy import Connection, Row, insert, select
from sqlalchemy.exc import IntegrityError

from agent.store import lanes
from agent.store.tables import SIGNED_MESSAGES
from contracts.chain.ledger import Lane, SignedMessage
from contracts.errors import LedgerConflict
from contracts.types import AccountId, PublicKey


def store_message(connection: Connection, message: SignedMessage, grant_id: str, now: float) -> None:
    """Take a delegate's nonce and keep the signature; the grant's row is there already, and is used up by this.

    LedgerConflict `key_blocked`, `nonce_taken`, `message_exists`.
    """
    lanes.check_account(connection, message.chain_id, message.signer_id)
    if message.kind == "delegate":
        lane = Lane(message.chain_id, message.signer_id, message.public_key)
        lanes.take_nonce(connection, lane, int(message.nonce))
    row = {
        "message_id": message.message_id,
        "request_id": message.request_id,
        "kind": message.kind,
        "chain_id": message.chain_id,
        "signer_id": str(message.signer_id),
        "public_key": str(message.public_key),
        "recipient": message.recipient,
        "nonce": message.nonce,
        "max_block_height": message.max_block_height,
        "grant_id": grant_id,
        "digest": message.digest,
        "payload": message.payload,
        "signature": message.signature,
        "issued_at": now,
    }
    try:
        connection.execute(insert(SIGNED_MESSAGES), row)
    except IntegrityError as error:
        raise LedgerConflict(
            "message_exists",
            f"message {message.message_id} was signed already, or its grant {grant_id} was used",
            details={"message_id": message.message_id, "grant_id": grant_id},
        ) from error


def read_messages(connection: Connection, request_id: str) -> list[SignedMessage]:
    """A request's signed messages, in the order of signing."""
    query = (
        select(SIGNED_MESSAGES)
        .where(SIGNED_MESSAGES.c.request_id == request_id)
        .order_by(SIGNED_MESSAGES.c.issued_at, SIGNED_MESSAGES.c.message_id)
    )
    return [_message(row) for row in connection.execute(query)]


def _message(row: Row[*tuple[object, ...]]) -> SignedMessage:
    found = row._mapping  # noqa: SLF001 -- SQLAlchemy's public name for a row's columns
    return SignedMessage(
        message_id=found["message_id"],
        request_id=found["request_id"],
        kind=found["kind"],
        chain_id=found["chain_id"],
        signer_id=AccountId(found["signer_id"]),
        public_key=PublicKey(found["public_key"]),
        recipient=found["recipient"],
        nonce=found["nonce"],
        digest=found["digest"],
        payload=found["payload"],
        signature=found["signature"],
        max_block_height=found["max_block_height"],
    )
