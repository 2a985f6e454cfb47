"""Tables whose readings a test sets, for triggers in an event loop whose time jumps."""

from collections.abc import Iterator

import pytest

from autostream.errors import UsageError
from autostream.watermark.marks import TableMark
from autostream.watermark.waiting import MarkReading
from autostream_airflow import polling as module
from autostream_airflow.polling import Polling


class Tables(dict[str, MarkReading]):
    """What is known of tables, and how often it was looked up."""

    looks = 0

    async def read(self, table: str) -> MarkReading:
        self.looks += 1
        return self.get(table, MarkReading(None, f"Table {table} does not exist.", refusal=UsageError))

    def set(self, table: str, watermark_ms: int | None) -> None:
        self[table] = MarkReading(TableMark(table, None, watermark_ms))


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    tables = Tables()
    polling = Polling(tables.read, chance=lambda: 0.5)
    for user in (module, *_users()):
        monkeypatch.setattr(user, "shared_polling", lambda: polling)
    yield tables
    assert polling.pollers == {}  # all that waited have left


def _users() -> list[object]:
    from autostream_airflow.triggers import watermark, windows

    return [watermark, windows]
