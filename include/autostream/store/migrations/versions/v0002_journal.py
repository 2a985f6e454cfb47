"""The journal, which is only appended to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_REFUSED = "autostream_journal is only appended to"


def upgrade() -> None:
    """Make the table of this revision, and have the database refuse to change what is in it."""
    op.create_table(
        "autostream_journal",
        sa.Column("stream", sa.String(400), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    for statement in _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        op.execute(statement)


_SQLITE = [
    f"CREATE TRIGGER autostream_journal_{act.lower()} BEFORE {act} ON autostream_journal "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
    for act in ("UPDATE", "DELETE")
]
_POSTGRESQL = [
    "CREATE FUNCTION autostream_journal_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$",
    "CREATE TRIGGER autostream_journal_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON autostream_journal "
    "FOR EACH STATEMENT EXECUTE FUNCTION autostream_journal_refuse()",
]
