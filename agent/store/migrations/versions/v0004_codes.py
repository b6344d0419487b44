"""The code that each contract had when it was last used."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """A column that older rows leave empty, and a table."""
    op.add_column("intents", sa.Column("codes", sa.Text))
    op.create_table(
        "used_codes",
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("code_hash", sa.Text, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "signer_id", "account_id"),
    )
