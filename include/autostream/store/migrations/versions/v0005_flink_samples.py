"""Flink jobs and samples of their figures."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of this revision."""
    op.create_table(
        "autostream_flink_job",
        sa.Column("id", _ROW_ID, sa.Identity(), primary_key=True),
        sa.Column("name_digest", sa.String(64), nullable=False, unique=True),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("owner", sa.Text),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("rolled_up_to_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "autostream_flink_sample_outline",
        sa.Column("id", _ROW_ID, sa.Identity(), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("outline", sa.Text, nullable=False),
        sa.Column("used_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "autostream_flink_sample",
        sa.Column("job", _ROW_ID, primary_key=True, autoincrement=False),
        sa.Column("step_ms", sa.Integer, primary_key=True),
        sa.Column("to_ms", sa.BigInteger, primary_key=True),
        sa.Column("from_ms", sa.BigInteger, nullable=False),
        sa.Column("outline", _ROW_ID, nullable=False),
        sa.Column("numbers", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("autostream_flink_sample_age", "autostream_flink_sample", ["step_ms", "to_ms"])
