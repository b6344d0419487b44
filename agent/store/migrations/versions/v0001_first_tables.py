"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _requests()
    _ledger()
    _approval()


def _requests() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "running",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Float, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
    )
    op.create_table(
        "records",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False, unique=True),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("front_end", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("conversation_id", sa.Text, nullable=False),
        sa.Column("idempotency_hash", sa.Text),
        sa.Column("message_hash", sa.Text),
        sa.Column("calls_hash", sa.Text),
        sa.Column("approval_of", sa.Text),
        sa.Column("repeats", sa.Text),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index(
        "records_by_idempotency",
        "records",
        ["key_id", "idempotency_hash"],
        sqlite_where=sa.text("idempotency_hash IS NOT NULL"),
    )
    op.create_index(
        "records_by_message", "records", ["key_id", "message_hash"], sqlite_where=sa.text("message_hash IS NOT NULL")
    )
    op.create_index("records_by_approval", "records", ["approval_of"], sqlite_where=sa.text("approval_of IS NOT NULL"))


def _ledger() -> None:
    op.create_table(
        "grants",
        sa.Column("grant_id", sa.Text, primary_key=True),
        sa.Column("calls_hash", sa.Text, nullable=False),
        sa.Column("call_digests", sa.Text, nullable=False),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("granted_at", sa.Float, nullable=False),
    )
    op.create_table(
        "intents",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("intent_id", sa.Text, nullable=False, unique=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("receiver_id", sa.Text, nullable=False),
        sa.Column("deposit_yocto", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("calls_hash", sa.Text, nullable=False),
        sa.Column("expected", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id")),
        sa.Column("tx_hash", sa.Text, unique=True),
        sa.Column("data", sa.LargeBinary),
        sa.Column("public_key", sa.Text),
        sa.Column("nonce", sa.Text),
        sa.Column("reference_hash", sa.Text),
        sa.Column("reference_height", sa.Integer),
        sa.Column("outcome", sa.Text),
    )
    op.create_index("intents_by_request", "intents", ["request_id", "step"])
    op.create_index("intents_by_state", "intents", ["state"])
    op.create_index("intents_by_calls", "intents", ["calls_hash"])
    op.create_table(
        "grant_steps",
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), nullable=False),
        sa.Column("intent_id", sa.Text, sa.ForeignKey("intents.intent_id"), nullable=False),
        sa.Column("consumed_at", sa.Float),
        sa.PrimaryKeyConstraint("grant_id", "intent_id"),
    )
    op.create_table(
        "nonces",
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "signer_id", "public_key"),
    )


def _approval() -> None:
    op.create_table(
        "cards",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("conversation_id", sa.Text, nullable=False),
        sa.Column("turn_hash", sa.Text, nullable=False),
        sa.Column("code_hash", sa.Text, nullable=False),
        sa.Column("calls_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("resolved_at", sa.Float),
        sa.Column("card", sa.Text, nullable=False),
    )
    op.create_index("cards_by_code", "cards", ["key_id", "code_hash"])
    op.create_index("cards_by_turn", "cards", ["key_id", "turn_hash"])
    op.create_index("cards_pending", "cards", ["key_id"], sqlite_where=sa.text("status = 'pending'"))
    op.create_table(
        "wrong_codes",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_index("wrong_codes_by_key", "wrong_codes", ["key_id", "at"])
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("key_hash", sa.Text, nullable=False, unique=True),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("may_confirm", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("revoked_at", sa.Float),
    )
