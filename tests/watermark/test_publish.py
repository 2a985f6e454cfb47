"""Watermarks committed to real tables: others commit in between, answers are lost, tables go."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, ForbiddenError
from pyiceberg.table import Table
from pyiceberg.types import StringType

from autostream.catalogs import property_changes, sql
from autostream.catalogs.committing import CommitStep
from autostream.catalogs.compared_properties import AssertProperties
from autostream.catalogs.opening import open_catalog
from autostream.catalogs.rest import RestCatalog
from autostream.errors import (
    AutostreamError,
    ConfigurationError,
    ConflictError,
    DeniedError,
    LockLostError,
    OutcomeUnknownError,
    UsageError,
)
from autostream.times import parse_instant
from autostream.watermark.changes import WatermarkChange, WriterReport, apply_reports, retire_writer
from autostream.watermark.codec import WATERMARK, read_properties
from autostream.watermark.events import EventKind, WatermarkEvent
from autostream.watermark.publish import Decision, publish
from autostream.watermark.reading.table_marks import read_mark
from tests.support.catalogs import IDS, append, ids, new_namespace
from tests.support.clocks import FakeClock
from tests.support.lakes import Orders, compact

NOW = parse_instant("2026-11-25T02:00Z")
T = parse_instant("2026-11-25T01:00Z")
# No wait between tries: time is not what these tests are about.
QUICK = {
    "commit.retry.num-retries": "2",
    "commit.retry.min-wait-ms": "0",
    "commit.status-check.num-retries": "1",
    "commit.status-check.min-wait-ms": "0",
}


def report(writer: str, watermark: int | None) -> Decision:
    return lambda properties: apply_reports(properties, [WriterReport(writer, watermark)], now_ms=NOW)


@pytest.fixture
def catalog(lake: SqlCatalog) -> Catalog:
    """Autostream's own catalog, with the table ``db.t``."""
    found = open_catalog("lake")
    found.create_table("db.t", IDS, properties=QUICK)
    return found


def load(catalog: Catalog) -> Table:
    return catalog.load_table("db.t")


def watermarks(catalog: Catalog) -> dict[str, int | None]:
    mark = read_properties("lake.db.t", load(catalog).properties)
    return {"table": mark.watermark_ms, **{writer.name: writer.watermark_ms for writer in mark.writers}}


def set_properties(table: Table, properties: dict[str, str]) -> None:
    table.transaction().set_properties(properties).commit_transaction()


class Overtaken:
    """A decision, during the first ones of which something else happens to the table."""

    def __init__(self, decide: Decision, *between: Callable[[], object]) -> None:
        self.decide = decide
        self.between = list(between)
        self.calls = 0

    def __call__(self, properties: Any) -> WatermarkChange:
        self.calls += 1
        change = self.decide(properties)
        if self.between:
            self.between.pop(0)()
        return change


def test_what_is_published_is_read(catalog: Catalog) -> None:
    table = load(catalog)
    change = publish(table, report("a", T))
    assert change.events == (
        WatermarkEvent(EventKind.JOIN, "a", T, NOW),
        WatermarkEvent(EventKind.ADVANCE, None, T, NOW),
    )
    assert table.properties[WATERMARK] == str(T), "the table that was given is what it has become"
    assert read_mark("lake.db.t").watermark_ms == read_mark("lake.db.t", catalog=catalog).watermark_ms == T


def test_nothing_new_is_no_commit(catalog: Catalog) -> None:
    publish(load(catalog), report("a", T))
    before = load(catalog).metadata_location
    assert publish(load(catalog), report("a", T - 1)) == WatermarkChange()
    assert load(catalog).metadata_location == before


def test_another_recorder_in_between_is_not_set_back(catalog: Catalog) -> None:
    publish(load(catalog), report("a", T))
    decide = Overtaken(report("a", T + 5), lambda: publish(load(catalog), report("a", T + 9)))
    assert publish(load(catalog), decide) == WatermarkChange()
    assert (watermarks(catalog), decide.calls) == ({"table": T + 9, "a": T + 9}, 2)


def test_another_writer_in_between_is_not_lost(catalog: Catalog) -> None:
    decide = Overtaken(report("a", T + 5), lambda: publish(load(catalog), report("b", T + 9)))
    change = publish(load(catalog), decide)
    assert change.events == (WatermarkEvent(EventKind.JOIN, "a", T + 5, NOW),)
    assert (watermarks(catalog), decide.calls) == ({"table": T + 9, "a": T + 5, "b": T + 9}, 2)


@pytest.mark.parametrize(
    "commit",
    [
        pytest.param(lambda table: append(table, 1), id="snapshot"),
        pytest.param(lambda table: table.update_schema().add_column("note", StringType()).commit(), id="schema"),
        pytest.param(lambda table: set_properties(table, {"owner": "me"}), id="property"),
        pytest.param(lambda table: set_properties(table, {"autostream.watermark.column": "at"}), id="setting"),
    ],
)
def test_other_commits_in_between_are_kept(catalog: Catalog, commit: Callable[[Table], object]) -> None:
    append(load(catalog), 7)
    decide = Overtaken(report("a", T), lambda: commit(load(catalog)))
    publish(load(catalog), decide)
    after = load(catalog)
    assert watermarks(catalog) == {"table": T, "a": T}
    assert 7 in ids(after)
    changed = len(after.metadata.snapshots) > 1 or len(after.schema().fields) > 1
    assert changed or {"owner", "autostream.watermark.column"} & after.properties.keys()
    assert decide.calls == (2 if "autostream.watermark.column" in after.properties else 1)


def test_a_table_that_is_dropped_meanwhile(catalog: Catalog) -> None:
    table = load(catalog)
    with pytest.raises(UsageError, match=r"Table lake\.db\.t was dropped in the meantime. Nothing was recorded"):
        publish(table, Overtaken(report("a", T), lambda: catalog.drop_table("db.t")))


def test_a_table_that_is_created_again_meanwhile_is_another_one(catalog: Catalog) -> None:
    def anew() -> None:
        catalog.drop_table("db.t")
        catalog.create_table("db.t", IDS)

    with pytest.raises(AutostreamError, match=r"Cannot read table lake\.db\.t again .*UUID"):
        publish(load(catalog), Overtaken(report("a", T), anew))
    assert watermarks(catalog) == {"table": None}


def test_a_process_that_may_not_publish_any_more_does_not(catalog: Catalog) -> None:
    asked = []

    def may_once() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise LockLostError("This process is not the one")

    decide = Overtaken(report("a", T), lambda: publish(load(catalog), report("b", T)))
    with pytest.raises(LockLostError):
        publish(load(catalog), decide, before_commit=may_once)
    assert watermarks(catalog) == {"table": T, "b": T}


# ------------------------------------------------------------------------------------------------ commits that fail


class Scripted(sql.SqlCatalog):
    """A catalog whose commits are answered by a script, and properly when it has ended."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self.script: list[Callable[[Callable[[], Any]], Any]] = []
        self.commits = 0

    def commit_table(self, *arguments: Any) -> Any:
        self.commits += 1
        answer = self.script.pop(0) if self.script else lambda commit: commit()
        return answer(lambda: super(Scripted, self).commit_table(*arguments))


def overtaken(commit: Callable[[], Any]) -> Any:
    raise CommitFailedException("another writer was faster")


def lost_answer(commit: Callable[[], Any]) -> Any:
    commit()
    raise ConnectionError("connection reset")


def lost_request(commit: Callable[[], Any]) -> Any:
    raise ConnectionError("connection reset")


def refused(commit: Callable[[], Any]) -> Any:
    raise ForbiddenError("alice may not write to db.t")


def lock_not_got(commit: Callable[[], Any]) -> Any:
    raise CommitFailedException("no lock") from ConfigurationError("zookeeper.hosts is not set")


@pytest.fixture
def scripted(catalog: Catalog) -> Scripted:
    return Scripted("lake", **catalog.properties)


def test_as_many_tries_and_waits_as_the_table_says(scripted: Scripted, clock: FakeClock) -> None:
    policy = {
        "commit.retry.num-retries": "3",
        "commit.retry.min-wait-ms": "1000",
        "commit.retry.max-wait-ms": "3000",
    }
    set_properties(scripted.load_table("db.t"), policy)
    scripted.script, scripted.commits = [overtaken] * 9, 0
    with pytest.raises(ConflictError, match=r"other commits were faster 4 times\. Nothing was changed\. Try again"):
        publish(scripted.load_table("db.t"), report("a", T))
    assert scripted.commits == 4
    assert [round(wait) for wait in clock.slept] == [1, 2, 3]
    assert watermarks(scripted) == {"table": None}


def test_the_last_try_counts(scripted: Scripted) -> None:
    scripted.script = [overtaken, overtaken]
    publish(scripted.load_table("db.t"), report("a", T))
    assert watermarks(scripted) == {"table": T, "a": T}


@pytest.mark.parametrize(("answer", "landed"), [(lost_answer, T), (lost_request, None)])
def test_what_is_not_known_can_be_said_again(scripted: Scripted, answer: Any, landed: int | None) -> None:
    scripted.script = [answer]
    with pytest.raises(
        OutcomeUnknownError,
        match=r"recorded in lake\.db\.t: connection reset\. Recording them again is safe",
    ):
        publish(scripted.load_table("db.t"), report("a", T))
    assert watermarks(scripted)["table"] == landed
    again = publish(scripted.load_table("db.t"), report("a", T))
    assert bool(again) is (landed is None)
    assert watermarks(scripted) == {"table": T, "a": T}


def test_a_refusal_is_not_tried_again(scripted: Scripted) -> None:
    scripted.script = [refused]
    with pytest.raises(DeniedError, match=r"refused to record watermarks in lake\.db\.t: alice may not write"):
        publish(scripted.load_table("db.t"), report("a", T))
    assert scripted.commits == 1


def test_a_lock_that_cannot_be_had_is_not_tried_again(scripted: Scripted) -> None:
    scripted.script = [lock_not_got]
    with pytest.raises(ConfigurationError, match=r"zookeeper\.hosts is not set"):
        publish(scripted.load_table("db.t"), report("a", T))
    assert scripted.commits == 1


def test_a_catalog_that_goes_down_between_two_tries(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any) -> None:
        raise ConnectionError("connection refused")

    table = scripted.load_table("db.t")
    scripted.script = [overtaken]
    monkeypatch.setattr(scripted, "load_table", down)
    with pytest.raises(AutostreamError, match=r"Cannot read table lake\.db\.t again .*: connection refused"):
        publish(table, report("a", T))


def test_the_catalog_finds_out_that_a_lost_answer_was_a_success(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap = sql._Row.swap

    def answers_nothing(row: Any) -> None:
        swap(row)
        raise ConnectionError("connection reset")

    monkeypatch.setattr(sql._Row, "swap", answers_nothing)
    assert publish(load(catalog), report("a", T))
    assert watermarks(catalog) == {"table": T, "a": T}


# ------------------------------------------------------------------------------------------------ catalogs like REST


def test_where_properties_are_not_compared_a_second_look_mends_what_was_overwritten(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both made their decision upon the same state; the other one's commit comes second, and knows nothing of ours."""
    publish(scripted.load_table("db.t"), report("a", T))
    publish(scripted.load_table("db.t"), report("b", T))
    stale = apply_reports(scripted.load_table("db.t").properties, [WriterReport("b", T + 5)], now_ms=NOW).changed

    def is_overwritten(commit: Callable[[], Any]) -> Any:
        answer = commit()
        set_properties(scripted.load_table("db.t"), {**stale, WATERMARK: str(T)})
        return answer

    monkeypatch.setattr(property_changes, "compares_properties", lambda _: False)
    scripted.script = [is_overwritten]
    change = publish(scripted.load_table("db.t"), report("a", T + 9))
    assert scripted.load_table("db.t").properties[WATERMARK] == str(T + 5)
    assert change.events == (
        WatermarkEvent(EventKind.ADVANCE, "a", T + 9, NOW),
        WatermarkEvent(EventKind.ADVANCE, None, T + 5, NOW),
    )
    assert change.changed[WATERMARK] == str(T + 5)


def test_a_second_look_that_finds_everything_in_order_is_no_commit(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(property_changes, "compares_properties", lambda _: False)
    assert publish(scripted.load_table("db.t"), report("a", T)).events[-1].watermark_ms == T
    assert scripted.commits == 1


@pytest.mark.integration
def test_two_that_publish_by_rest_at_the_same_moment(rest_server: tuple[str, str]) -> None:
    url, _ = rest_server
    mine, others = (open_catalog("rest", {"type": "rest", "uri": url}) for _ in range(2))
    assert isinstance(mine, RestCatalog)
    name = f"{new_namespace(mine)}.t"
    mine.create_table(name, IDS, properties=QUICK)
    for writer in "ab":
        publish(mine.load_table(name), report(writer, T))

    def others_commit(step: CommitStep) -> None:
        if step is CommitStep.LOCK_VERIFIED:  # ours has been compared, and is not sent yet
            mine.observe = lambda _: None
            publish(others.load_table(name), report("b", T + 5))

    mine.observe = others_commit
    publish(mine.load_table(name), report("a", T + 9))
    properties = mine.load_table(name).properties
    mark = read_properties(name, properties)
    assert [writer.watermark_ms for writer in mark.writers] == [T + 9, T + 5]
    assert properties[WATERMARK] == str(T + 5)


@pytest.mark.integration
def test_a_comparison_that_fails_sends_nothing_by_rest(rest_server: tuple[str, str]) -> None:
    catalog = open_catalog("rest", {"type": "rest", "uri": rest_server[0]})
    name = f"{new_namespace(catalog)}.t"
    table = catalog.create_table(name, IDS, properties=QUICK)
    decide = Overtaken(report("a", T), lambda: publish(catalog.load_table(name), report("a", T + 9)))
    assert publish(table, decide) == WatermarkChange()
    assert catalog.load_table(name).properties[WATERMARK] == str(T + 9)


def test_what_is_compared() -> None:
    required = AssertProperties(prefix="autostream.", expected={"autostream.a": "1", "autostream.b": "2"})
    with pytest.raises(CommitFailedException, match="the table is gone"):
        required.validate(None)


# ------------------------------------------------------------------------------------------------ all at once


def test_publishers_that_hammer_one_table_lose_nothing_and_never_set_it_back(catalog: Catalog) -> None:
    patient = {"commit.retry.num-retries": "200", "commit.retry.max-wait-ms": "20"}
    set_properties(load(catalog), {**patient, "write.metadata.previous-versions-max": "99"})
    errors: list[BaseException] = []

    def hammer(mine: str, shared: int) -> None:
        try:
            own = open_catalog("lake")
            for n in range(8):
                publish(load(own), report(mine, T + n))
                publish(load(own), report("shared", T + 2 * n + shared))
                append_with_patience(load(own), n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hammer, args=(name, number)) for number, name in enumerate("ab")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert watermarks(catalog) == {"table": T + 7, "a": T + 7, "b": T + 7, "shared": T + 15}
    assert ids(load(catalog)) == sorted([*range(8), *range(8)])
    assert past_watermarks(load(catalog)) == sorted(past_watermarks(load(catalog)))


def append_with_patience(table: Table, number: int) -> None:
    while True:
        try:
            append(table, number)
            return
        except CommitFailedException:
            table.refresh()


def past_watermarks(table: Table) -> list[int]:
    """The table's watermark in each of its metadata files, oldest first."""
    found = []
    for entry in [*(entry.metadata_file for entry in table.metadata.metadata_log), table.metadata_location]:
        with table.io.new_input(entry).open() as file:
            properties = json.loads(file.read())["properties"]
        found.append(read_properties("", properties).watermark_ms)
    return [watermark for watermark in found if watermark is not None]


# ------------------------------------------------------------------------------------------------ what it survives


def test_the_watermark_survives_compaction_expiry_and_changes_of_schema(lake: SqlCatalog) -> None:
    orders = Orders(lake, "db.t", **QUICK)
    orders.checkpoint(3)
    publish(orders.load(), report("a", T))
    publish(orders.load(), lambda p: retire_writer(p, "a", now_ms=NOW, by="me", reason="moved"))
    publish(orders.load(), report("b", T + 5))
    before = read_properties("lake.db.t", orders.load().properties)

    assert compact(orders.load()).status == "committed"
    assert read_properties("lake.db.t", orders.load().properties) == before
    orders.load().maintenance.expire_snapshots().by_ids(
        [snapshot.snapshot_id for snapshot in orders.load().metadata.snapshots[:-1]]
    ).commit()
    with orders.load().update_schema() as change:
        change.add_column("note", StringType())
    assert len(orders.load().metadata.snapshots) == 1
    assert read_properties("lake.db.t", orders.load().properties) == before
    assert read_mark("lake.db.t").watermark_ms == T + 5


def test_a_watermark_published_while_a_compaction_is_under_way_is_kept(
    lake: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(lake, "db.t", **QUICK)
    orders.checkpoint(3)
    publish(orders.load(), report("a", T))
    original = SqlCatalog.commit_table

    def commit_table(self: SqlCatalog, table: Table, *arguments: Any) -> Any:
        with monkeypatch.context() as undone:
            undone.setattr(SqlCatalog, "commit_table", original)
            publish(orders.load(), report("a", T + 5))
        return original(self, table, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(SqlCatalog, "commit_table", commit_table)
        assert compact(orders.load()).status == "committed"
    assert watermarks(lake) == {"table": T + 5, "a": T + 5}
