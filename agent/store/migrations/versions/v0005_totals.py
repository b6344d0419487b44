"""Running totals of what was spent, what a vote makes others pay, and known accounts by what they look like."""

import sqlalchemy as sa
from alembic import op

from contracts.knowledge.lookalikes import look_of

revision = "0005"
down_revision = "0004"

_SPENT = sa.text(
    "SELECT chain_id, signer_id, identity, token, units, free, at FROM spending WHERE state = 'spent' ORDER BY at, seq"
)
_TOTAL = sa.text(
    "INSERT OR REPLACE INTO spent_totals (chain_id, signer_id, token, whose, free, at, total) "
    "VALUES (:chain_id, :signer_id, :token, :whose, :free, :at, :total)"
)
_LOOK = sa.text(
    "UPDATE known_accounts SET look = :look "
    "WHERE chain_id = :chain_id AND signer_id = :signer_id AND account_id = :account_id"
)


def upgrade() -> None:
    op.add_column("spending", sa.Column("payer_id", sa.Text))
    op.drop_index("spending_by_token", "spending")
    op.create_index("spending_by_time", "spending", ["chain_id", "signer_id", "at"])
    op.create_index(
        "spending_reserved",
        "spending",
        ["chain_id", "signer_id", "token", "at"],
        sqlite_where=sa.text("state = 'reserved'"),
    )
    op.create_table(
        "spent_totals",
        sa.Column("chain_id", sa.Text, nullable=False),
        sa.Column("signer_id", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("whose", sa.Text, nullable=False),
        sa.Column("free", sa.Boolean, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("total", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "signer_id", "token", "whose", "free", "at"),
    )
    op.add_column("known_accounts", sa.Column("look", sa.Text))
    op.create_index("known_accounts_by_look", "known_accounts", ["chain_id", "signer_id", "look"])
    _add_up(op.get_bind())
    _look(op.get_bind())


def _add_up(connection: sa.Connection) -> None:
    sums: dict[tuple[str, str, str, str, bool], int] = {}
    rows: list[dict[str, object]] = []
    for spent in connection.execute(_SPENT):
        for whose in ("", spent.identity):
            for free in (False, True) if spent.free else (False,):
                series = (spent.chain_id, spent.signer_id, spent.token, whose, free)
                sums[series] = sums.get(series, 0) + int(spent.units)
                names = ("chain_id", "signer_id", "token", "whose", "free")
                rows.append({**dict(zip(names, series, strict=True)), "at": spent.at, "total": str(sums[series])})
    if rows:
        connection.execute(_TOTAL, rows)


def _look(connection: sa.Connection) -> None:
    known = connection.execute(sa.text("SELECT chain_id, signer_id, account_id FROM known_accounts")).mappings().all()
    if known:
        connection.execute(_LOOK, [{**row, "look": look_of(row["account_id"])} for row in known])
