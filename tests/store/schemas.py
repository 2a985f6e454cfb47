"""Compare the schema of a database with what rows declare."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from autostream.store.database import Database
from autostream.store.rows import declared_tables
from autostream.store.schema import VERSION_TABLE


def differences(database: Database) -> list[object]:
    """Upgrade a database and return what in it differs from what the rows of all packages declare."""
    declared = declared_tables()
    ours = {VERSION_TABLE, *declared.tables}
    database.upgrade()
    with database.read() as connection:
        options = {
            "version_table": VERSION_TABLE,
            "include_name": lambda name, kind, _: kind != "table" or name in ours or name.startswith("autostream_"),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), declared))
