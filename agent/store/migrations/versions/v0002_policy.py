"""Budgets and approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("intent_id", sa.Text, sa.ForeignKey("intents.intent_id"), nullable=False),
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("units", sa.Text, nullable=False),
        sa.Column("free", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_index("spending_by_token", "spending", ["chain_id", "signer_id", "token", "at"])
    op.create_index("spending_by_intent", "spending", ["intent_id"])
    op.create_table(
        "known_accounts",
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "signer_id", "account_id"),
    )
    op.create_table(
        "approvals",
        sa.Column("request_id", sa.Text, sa.ForeignKey("cards.request_id"), nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "identity"),
    )
