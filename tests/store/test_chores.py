from pathlib import Path

import pytest

from autostream.store.chores import take_chore
from autostream.store.database import Database


def test_a_chore_is_done_once_in_a_while_and_stays_due_where_it_failed(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/a.db")

    def take(now_ms: int, name: str = "sweep") -> bool:
        with database.write() as connection:
            return take_chore(connection, name, now_ms=now_ms, every_ms=1000)

    def take_and_fail(now_ms: int) -> None:
        with database.write() as connection:
            assert take_chore(connection, "sweep", now_ms=now_ms, every_ms=1000)
            raise KeyError

    with pytest.raises(KeyError):
        take_and_fail(5000)

    assert [take(at) for at in (5000, 5999, 6000, 6001)] == [True, False, True, False]
    assert take(6001, "another chore")
