"""Runs migrations on the connection, and in the transaction, that ``autostream.store.database`` hands over."""

from alembic import context

from autostream.store.database import VERSION_TABLE
from autostream.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    # SQLite cannot alter much of a table: Alembic makes a new one and copies.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
