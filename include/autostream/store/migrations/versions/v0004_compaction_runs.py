"""The record of compactions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_COUNTS = (
    "planned_snapshot_id",
    "snapshot_id",
    "data_files_before",
    "data_files_after",
    "delete_files_before",
    "delete_files_after",
    "bytes_before",
    "bytes_after",
    "rows_read",
    "rows_deleted",
    "bytes_read",
    "bytes_written",
    "peak_memory_bytes",
)


def upgrade() -> None:
    """Make the table of this revision."""
    op.create_table(
        "autostream_compaction_run",
        sa.Column("id", _ROW_ID, sa.Identity(), primary_key=True),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("partitions", sa.Integer),
        *(sa.Column(name, sa.BigInteger) for name in _COUNTS),
        *(sa.Column(f"{step}_seconds", sa.Float) for step in ("plan", "rewrite", "commit")),
    )
    op.create_index("autostream_compaction_run_table", "autostream_compaction_run", ["table_name", "ended_at_ms"])
    op.create_index("autostream_compaction_run_age", "autostream_compaction_run", ["ended_at_ms"])
