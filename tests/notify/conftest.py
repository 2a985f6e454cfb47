from pathlib import Path

import pytest

from autostream.store.database import Database


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database of its own: SQLite, or another kind that a test names by `indirect`."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/a.db")
    opened = Database(request.getfixturevalue("postgres"))
    opened.upgrade()
    return opened
