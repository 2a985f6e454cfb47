import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from autostream.store.database import Database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database of each kind."""
    url = "sqlite://"
    if request.param == "postgresql":
        name = f"telemetry_{uuid.uuid4().hex[:12]}"
        server = create_engine(request.getfixturevalue("postgres_url"), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
        server.dispose()
    database = Database(url)
    database.upgrade()
    yield database
    database.close()
