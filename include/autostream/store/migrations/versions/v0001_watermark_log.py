"""The history of watermarks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of this revision."""
    op.create_table(
        "autostream_watermark_log",
        sa.Column("id", _ROW_ID, sa.Identity(), primary_key=True),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("table_uuid", sa.String(36), nullable=False),
        sa.Column("writer", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("watermark_ms", sa.BigInteger),
        sa.Column("recorded_at_ms", sa.BigInteger, nullable=False),
        sa.Column("generation_ms", sa.BigInteger, nullable=False),
        sa.Column("fact", sa.String(80), nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("checkpoint_id", sa.BigInteger),
        sa.Column("snapshot_id", sa.BigInteger),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.UniqueConstraint("table_uuid", "writer", "fact", name="autostream_watermark_log_fact"),
    )
    op.create_index(
        "autostream_watermark_log_reached",
        "autostream_watermark_log",
        ["table_uuid", "writer", "watermark_ms", "recorded_at_ms"],
    )
    op.create_index("autostream_watermark_log_time", "autostream_watermark_log", ["table_uuid", "recorded_at_ms"])
    op.create_index("autostream_watermark_log_age", "autostream_watermark_log", ["recorded_at_ms"])
    op.create_table(
        "autostream_metadata_read",
        sa.Column("table_uuid", sa.String(36), primary_key=True),
        sa.Column("file_name", sa.String(255), primary_key=True),
    )
    op.create_table(
        "autostream_chore",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("done_at_ms", sa.BigInteger, nullable=False),
    )
