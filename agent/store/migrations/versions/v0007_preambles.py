"""The agent's own part of prompts in a table of its own, which records refer to. Older records hold theirs themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "preambles",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    # Alembic would add the foreign key by an ALTER that SQLite does not have; in the column's own words it does.
    op.execute("ALTER TABLE records ADD COLUMN preamble TEXT REFERENCES preambles (digest)")
