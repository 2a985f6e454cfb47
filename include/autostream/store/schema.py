"""The schema of the database: which revision it is of, and the migrations that bring it up to date."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, inspect, text

VERSION_TABLE: Final = "autostream_schema"
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""All revisions of the schema, oldest first: known without loading Alembic, which takes longer than most queries."""


def revision_of(connection: Connection) -> str | None:
    """Return the schema's revision; None where there is no schema."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return None if revision is None else str(revision)


def migrate(connection: Connection, *, to: str = REVISIONS[-1]) -> None:
    """Bring the schema up to a revision, in the transaction of the connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "autostream.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def why_unusable(revision: str | None) -> str | None:
    """Return what is wrong with a schema of that revision, and what to do; None where nothing is."""
    if revision == REVISIONS[-1]:
        return None
    if revision is None:
        return "does not have autostream's tables yet. Run 'autostream db upgrade'."
    if revision in REVISIONS:
        return (
            f"has schema revision {revision}, which is older than revision {REVISIONS[-1]} that this version of "
            "autostream needs. Run 'autostream db upgrade'."
        )
    return (
        f"has schema revision {revision}, which is newer than revision {REVISIONS[-1]} of this version of "
        "autostream. Install the version of autostream that upgraded the database, or a later one."
    )


def is_newer(revision: str | None) -> bool:
    """Tell whether a later version of autostream has upgraded the schema."""
    return revision is not None and revision not in REVISIONS
