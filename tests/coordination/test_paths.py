import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.coordination.paths import LockKey, LockNode, Paths, lock_prefix, quote, unquote
from autostream.errors import UsageError

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(NAMES)
def test_every_name_is_one_part_of_a_path_and_can_be_read_back(name: str) -> None:
    part = quote(name)

    assert unquote(part) == name
    assert "/" not in part
    assert part not in (".", "..")
    assert part.isascii()
    assert part.isprintable()


@given(NAMES, NAMES)
def test_different_names_are_different_parts(one: str, other: str) -> None:
    assert (quote(one) == quote(other)) == (one == other)


def test_names_stay_readable() -> None:
    paths = Paths("/autostream")

    assert paths.queue(LockKey("lake", "db.orders")) == "/autostream/locks/lake/db.orders"
    assert paths.broken_of(LockKey("lake", "db.orders")) == "/autostream/broken/lake/db.orders"
    assert paths.queue(LockKey("la/ke", "db.größe/x")) == "/autostream/locks/la%2Fke/db.gr%C3%B6%C3%9Fe%2Fx"
    assert paths.queue(LockKey(".", "..")) == "/autostream/locks/%2E/%2E%2E"


@pytest.mark.parametrize(("catalog", "table"), [("", "db.t"), ("lake", "")])
def test_a_key_has_both_names(catalog: str, table: str) -> None:
    with pytest.raises(UsageError, match="both need a name"):
        LockKey(catalog, table)


def test_nodes_are_ordered_by_number_and_not_by_name() -> None:
    names = [f"{lock_prefix(digit * 32)}{number:010d}" for digit, number in (("f", 9), ("0", 10), ("5", -2147483648))]

    nodes = sorted(node for node in map(LockNode.parse, names) if node)

    assert [node.sequence for node in nodes] == [-2147483648, 9, 10]
    assert nodes[1].uuid == "f" * 32
    assert nodes[1].name == names[0]


@pytest.mark.parametrize(
    "name", ["lock-1", "lease-" + "0" * 32 + "-0000000001", "lock-" + "g" * 32 + "-0000000001", ""]
)
def test_nodes_of_others_are_left_alone(name: str) -> None:
    assert LockNode.parse(name) is None
