"""The nonce of each lane from which on every use must be one of the ledger's."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Older versions took the highest nonce that they knew as explained: it is the baseline to start from."""
    op.add_column("nonces", sa.Column("baseline", sa.Text))
    op.add_column("nonces", sa.Column("baseline_height", sa.Integer))
    op.execute("UPDATE nonces SET baseline = nonce")
