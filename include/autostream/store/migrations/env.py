"""Run migrations on the connection, and in the transaction, that `autostream.store.schema` hands over."""

from alembic import context

from autostream.store.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    # SQLite cannot alter much of a table: Alembic makes a new one and copies.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
