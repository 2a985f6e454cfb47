"""Sums over compactions, which stay when the record of single ones is forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SUMS = ("rows_read", "rows_deleted", "bytes_read", "bytes_written")


def upgrade() -> None:
    """Make the table of this revision, of what is recorded so far."""
    op.create_table(
        "autostream_compaction_count",
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("status", sa.String(16), primary_key=True),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS),
    )
    sums = ", ".join(f"COALESCE(SUM({name}), 0)" for name in _SUMS)
    op.execute(
        f"INSERT INTO autostream_compaction_count (table_name, status, runs, duration_ms, {', '.join(_SUMS)}) "
        f"SELECT table_name, status, COUNT(*), SUM(ended_at_ms - started_at_ms), {sums} "
        "FROM autostream_compaction_run GROUP BY table_name, status"
    )
