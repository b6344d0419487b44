"""Lanes: fences, keys that something else has used, signed messages, and what a restore leaves for review."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Columns that older rows leave empty, and two tables."""
    op.add_column("grants", sa.Column("voided_at", sa.Float))
    op.add_column("intents", sa.Column("nonce_index", sa.Integer))
    op.add_column("intents", sa.Column("fences", sa.Text))
    op.add_column("intents", sa.Column("review", sa.Text))
    op.create_index("intents_by_lane", "intents", ["signer_id", "public_key", "nonce"])
    op.create_index("intents_by_fenced", "intents", ["fences"], sqlite_where=sa.text("fences IS NOT NULL"))
    op.create_table(
        "foreign_uses",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("known_nonce", sa.Text, nullable=False),
        sa.Column("chain_nonce", sa.Text, nullable=False),
        sa.Column("found_at", sa.Float, nullable=False),
        sa.Column("acknowledged_at", sa.Float),
    )
    op.create_index(
        "foreign_uses_open",
        "foreign_uses",
        ["chain_id", "signer_id", "public_key"],
        unique=True,
        sqlite_where=sa.text("acknowledged_at IS NULL"),
    )
    op.create_table(
        "signed_messages",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False),
        sa.Column("max_block_height", sa.Integer),
        sa.Column("grant_id", sa.Text, sa.ForeignKey("grants.grant_id"), nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", sa.Float, nullable=False),
    )
    op.create_index("signed_messages_by_request", "signed_messages", ["request_id"])
