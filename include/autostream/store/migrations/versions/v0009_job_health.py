"""Jobs' health: what was judged when, and which alerts are on."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of this revision."""
    op.create_table(
        "autostream_job_health",
        sa.Column("id", _ROW_ID, sa.Identity(), primary_key=True),
        sa.Column("name_digest", sa.String(64), nullable=False),
        sa.Column("cluster", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("score", sa.Integer),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("parallelism", sa.Integer),
        sa.Column("task_managers", sa.Integer),
        sa.Column("cpu_cores", sa.Float),
        sa.Column("memory_bytes", sa.BigInteger),
    )
    op.create_index("autostream_job_health_job", "autostream_job_health", ["name_digest", "at_ms"])
    op.create_index("autostream_job_health_age", "autostream_job_health", ["at_ms"])
    op.create_table(
        "autostream_health_alert",
        sa.Column("name_digest", sa.String(64), primary_key=True),
        sa.Column("rule", sa.String(64), primary_key=True),
        sa.Column("about", sa.String(64), primary_key=True),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger),
        sa.Column("told_ms", sa.BigInteger, nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
    )
    op.create_index("autostream_health_alert_age", "autostream_health_alert", ["told_ms"])
