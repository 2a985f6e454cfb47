"""The outbox of notices."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of this revision."""
    op.create_table(
        "autostream_outbox_message",
        sa.Column("id", _ROW_ID, sa.Identity(), primary_key=True),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try_ms", sa.BigInteger, nullable=False),
        sa.Column("claim", sa.String(36), nullable=False),
        sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
        sa.Column("settled_ms", sa.BigInteger),
        sa.Column("error", sa.Text, nullable=False),
    )
    op.create_index("autostream_outbox_message_due", "autostream_outbox_message", ["state", "next_try_ms"])
    op.create_index("autostream_outbox_message_age", "autostream_outbox_message", ["created_ms"])
    op.create_table(
        "autostream_outbox_key",
        sa.Column("target", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("put_ms", sa.BigInteger, nullable=False),
        sa.Column("message_id", sa.BigInteger),
    )
    op.create_index("autostream_outbox_key_age", "autostream_outbox_key", ["put_ms"])
    op.create_table(
        "autostream_outbox_target",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("recent_ms", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("paused_until_ms", sa.BigInteger, nullable=False),
    )
