import pytest

from autostream.console.paging import cursor_of, key_of
from autostream.errors import UsageError


@pytest.mark.parametrize("key", ["lake.db.t", "名", "", 0, 2**53])
def test_a_cursor_is_the_key_that_it_was_made_of(key: str | int) -> None:
    assert key_of(cursor_of(key), type(key)) == key


def test_without_a_cursor_a_list_begins_at_its_beginning() -> None:
    assert key_of(None, int) is None


@pytest.mark.parametrize("cursor", ["", "x", "%%%", cursor_of("a"), "bnVsbA", "dHJ1ZQ", "é"])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(UsageError, match="Invalid cursor"):
        key_of(cursor, int)
