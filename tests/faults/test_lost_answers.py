"""Rule 6: a commit's outcome is committed, failed or unknown; files go only when it is known to have failed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, ForbiddenError
from pyiceberg.table import CommitTableResponse

from autostream.iceberg.files import normalize_path
from autostream.lake.engine.output_files import FILE_PREFIX
from tests.support.lakes import Orders, compact
from tests.support.reader import read_table
from tests.support.rows import assert_same_rows

Commit = Callable[[], CommitTableResponse]
Answer = Callable[[Commit], CommitTableResponse]

# No wait between tries: time is not what these tests are about.
QUICK = {
    "commit.retry.min-wait-ms": "0",
    "commit.status-check.min-wait-ms": "0",
    "commit.status-check.num-retries": "2",
}


def proper(commit: Commit) -> CommitTableResponse:
    return commit()


def lost_request(commit: Commit) -> CommitTableResponse:
    raise ConnectionError("connection reset before the request was sent")


def lost_answer(commit: Commit) -> CommitTableResponse:
    commit()
    raise ConnectionError("connection reset before the answer came")


def wrong_answer(commit: Commit) -> CommitTableResponse:
    """The transport repeated the request, and the second one met the first one's effect."""
    commit()
    raise CommitFailedException("branch main has changed")


def overtaken(commit: Commit) -> CommitTableResponse:
    raise CommitFailedException("another writer was faster")


def refused(commit: Commit) -> CommitTableResponse:
    raise ForbiddenError("alice may not write to db.t")


class Hanging:
    """A request that hangs in the network, and lands when the test says so."""

    __name__ = "hangs"
    land: Commit

    def __call__(self, commit: Commit) -> CommitTableResponse:
        self.land = commit
        raise TimeoutError("no answer within 30 s")


@contextmanager
def answers(monkeypatch: pytest.MonkeyPatch, script: list[Answer], last: Answer = proper) -> Iterator[list[str]]:
    """Let the catalog answer commits by the script, and by ``last`` when it has ended."""
    original = SqlCatalog.commit_table
    asked: list[str] = []

    def commit_table(self: SqlCatalog, *args: Any, **kwargs: Any) -> CommitTableResponse:
        answer = script.pop(0) if script else last
        asked.append(answer.__name__)
        return answer(lambda: original(self, *args, **kwargs))

    with monkeypatch.context() as patched:
        patched.setattr(SqlCatalog, "commit_table", commit_table)
        yield asked


def files(orders: Orders, pattern: str) -> set[str]:
    return {path.name for path in Path(normalize_path(orders.load().location())).glob(pattern)}


def reachable_metadata(orders: Orders) -> set[str]:
    """Return the names of manifests and manifest lists that snapshots reach."""
    table = orders.load()
    lists = {snapshot.manifest_list for snapshot in table.metadata.snapshots}
    manifests = {m.manifest_path for snapshot in table.metadata.snapshots for m in snapshot.manifests(table.io)}
    return {path.rsplit("/", 1)[-1] for path in lists | manifests}


@pytest.fixture
def orders(lake: SqlCatalog) -> Orders:
    made = Orders(lake, "db.t", **QUICK)
    made.checkpoint(3)
    return made


@pytest.mark.parametrize(
    "script",
    [
        [lost_request],
        [lost_answer],
        [wrong_answer],
        [overtaken, overtaken],
        [lost_request, overtaken],
        [lost_request, lost_request, lost_answer],
        [overtaken, wrong_answer],
        [overtaken, overtaken, overtaken, overtaken, wrong_answer],
        [lost_request, lost_request, lost_request, lost_request, lost_answer],
    ],
    ids=lambda script: "-".join(answer.__name__ for answer in script),
)
def test_committed_exactly_once(script: list[Answer], orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = len(orders.load().metadata.snapshots)
    with answers(monkeypatch, list(script)):
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("committed", 0)
    table = orders.load()
    assert len(table.metadata.snapshots) == snapshots + 1
    assert table.metadata.current_snapshot_id == result.snapshot_id
    assert_same_rows(read_table(table), orders.expected())
    # Other attempts left no manifest and no manifest list behind.
    assert files(orders, "metadata/*.avro") == reachable_metadata(orders)


def test_overtaken_at_every_try(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(orders, "data/**/*"), files(orders, "metadata/*")
    with answers(monkeypatch, [], overtaken) as asked:
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("conflict", 3)
    assert "other commits were faster 5 times" in str(result.error)
    assert len(asked) == 5
    assert (files(orders, "data/**/*"), files(orders, "metadata/*")) == before


def test_refused(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(orders, "data/**/*"), files(orders, "metadata/*")
    with answers(monkeypatch, [], refused) as asked:
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("failed", 5)
    assert "alice may not write to db.t" in str(result.error)
    assert asked == ["refused"]
    assert (files(orders, "data/**/*"), files(orders, "metadata/*")) == before


def test_unknown_keeps_every_file(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    with answers(monkeypatch, [], lost_request):
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("unknown", 4)
    assert "All files were kept" in str(result.error)
    assert [name for name in files(orders, "data/**/*") if name.startswith(FILE_PREFIX)]
    assert files(orders, "metadata/*.avro") > reachable_metadata(orders)
    assert_same_rows(read_table(orders.load()), orders.expected())
    assert compact(orders.load()).status == "committed"


def test_a_refusal_after_a_lost_answer_deletes_nothing(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request may still arrive: then the table needs the outputs."""
    hangs = Hanging()
    with answers(monkeypatch, [hangs], refused):
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("unknown", 4)
    assert "alice may not write to db.t" in str(result.error)
    hangs.land()
    assert_same_rows(read_table(orders.load()), orders.expected())
    assert orders.load().current_snapshot().summary.operation.value == "replace"  # type: ignore[union-attr]


def test_a_failure_to_write_after_a_lost_answer_deletes_nothing(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = Hanging()

    def no_space(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    def hangs(commit: Commit) -> CommitTableResponse:
        patched.setattr("autostream.lake.commit.snapshot_manifests.write_list", no_space)
        return hanging(commit)

    with monkeypatch.context() as patched, answers(monkeypatch, [hangs]):
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("unknown", 4)
    hanging.land()
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_a_pending_commit_may_land_after_its_answer_was_lost(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request hangs in the network; it arrives while the second attempt is under way."""
    hangs = Hanging()

    def lands_late(commit: Commit) -> CommitTableResponse:
        hangs.land()
        return commit()

    with answers(monkeypatch, [hangs, lands_late]):
        result = compact(orders.load())
    assert result.status == "committed"
    assert orders.load().metadata.current_snapshot_id == result.snapshot_id
    assert_same_rows(read_table(orders.load()), orders.expected())
    assert files(orders, "metadata/*.avro") == reachable_metadata(orders)


def test_a_pending_commit_that_lands_before_the_next_answer_is_lost_too(
    orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What landed is the first attempt, so its files stay, and those of the second go."""
    hangs = Hanging()

    def the_first_lands(_: Commit) -> CommitTableResponse:
        hangs.land()
        raise ConnectionError("connection reset")

    with answers(monkeypatch, [hangs, the_first_lands]):
        result = compact(orders.load())
    assert result.status == "committed"
    assert_same_rows(read_table(orders.load()), orders.expected())
    assert files(orders, "metadata/*.avro") == reachable_metadata(orders)


@pytest.mark.parametrize("refused_in_words", [False, True], ids=["answer-lost", "answer-wrong"])
def test_a_snapshot_that_expired_before_it_was_looked_for_keeps_every_file(
    refused_in_words: bool, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was committed is live in later snapshots: that its own is not there proves nothing."""

    def commits_and_others_go_on(commit: Commit) -> CommitTableResponse:
        commit()
        with answers(monkeypatch, []):
            orders.checkpoint()
            expire_all_but_the_head(orders)
        if refused_in_words:
            raise CommitFailedException("branch main has changed")
        raise ConnectionError("connection reset")

    with answers(monkeypatch, [commits_and_others_go_on]):
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("unknown", 4)
    assert_same_rows(read_table(orders.load()), orders.expected())


def expire_all_but_the_head(orders: Orders) -> None:
    table = orders.load()
    head = table.metadata.current_snapshot_id
    table.maintenance.expire_snapshots().by_ids(
        [snapshot.snapshot_id for snapshot in table.metadata.snapshots if snapshot.snapshot_id != head]
    ).commit()


def test_another_writers_commit_settles_that_a_lost_one_failed(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the head has moved, no attempt upon the old head can land: then a conflict is a conflict, not an unknown."""

    def other_writer_compacts(commit: Commit) -> CommitTableResponse:
        with answers(monkeypatch, []):
            assert compact(orders.load()).status == "committed"
        raise ConnectionError("connection reset")

    with answers(monkeypatch, [other_writer_compacts]):
        result = compact(orders.load())
    assert (result.status, result.exit_code) == ("conflict", 3)
    assert files(orders, "metadata/*.avro") == reachable_metadata(orders)
    assert_same_rows(read_table(orders.load()), orders.expected())


@pytest.mark.parametrize("landed", [True, False])
def test_the_catalog_is_down_after_the_commit(landed: bool, orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes back while the outcome is being asked for."""
    original = SqlCatalog.load_table
    down = [True] * 2

    def load_table(self: SqlCatalog, *args: Any, **kwargs: Any) -> Any:
        if down:
            down.pop()
            raise ConnectionError("connection refused")
        return original(self, *args, **kwargs)

    def goes_down(commit: Commit) -> CommitTableResponse:
        if landed:
            commit()
        monkeypatch.setattr(SqlCatalog, "load_table", load_table)
        raise ConnectionError("connection reset")

    with answers(monkeypatch, [goes_down]):
        result = compact(orders.load())
    assert result.status == "committed"
    assert_same_rows(read_table(orders.load()), orders.expected())


def test_the_catalog_stays_down(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    table = orders.load()

    def load_table(*_: Any, **__: Any) -> Any:
        raise ConnectionError("connection refused")

    def goes_down(commit: Commit) -> CommitTableResponse:
        patched.setattr(SqlCatalog, "load_table", load_table)
        raise ConnectionError("connection reset")

    with monkeypatch.context() as patched, answers(monkeypatch, [], goes_down):
        result = compact(table)
    assert (result.status, result.exit_code) == ("unknown", 4)
    assert_same_rows(read_table(orders.load()), orders.expected())
