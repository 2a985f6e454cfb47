"""The recorder, of made-up Flink jobs and in real tables, with a clock of its own."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from autostream.errors import LockLostError
from autostream.times import FOREVER_MS, clock_replaced
from autostream.watermark.events import EventKind
from autostream.watermark.marks import WriterStatus
from tests.support.catalogs import IDS
from tests.watermark.recording.clusters import END_OF_INPUT, REFRESH, T0, Cluster, Job, World

RULE = {"job": "ingest-(?P<table>.+)", "table": "lake.db.{table}"}
ENDS = {**RULE, "ends_forever": True}
QUICK = {"commit.retry.min-wait-ms": "0", "commit.status-check.min-wait-ms": "0"}

NewWorld = Callable[..., World]


@pytest.fixture
def world_of(lake: SqlCatalog) -> Iterator[NewWorld]:
    """Makes a world with the tables ``db.a`` and ``db.b`` and one cluster of jobs, or several."""
    for name in ("db.a", "db.b"):
        lake.create_table(name, IDS, properties=QUICK)

    def make(*jobs: Job, clusters: int = 1) -> World:
        made = [Cluster(list(jobs)) if number == 0 else Cluster() for number in range(clusters)]
        return stack.enter_context(clock_replaced(World(lake, *made)))

    with ExitStack() as stack:
        yield make


def ingest(table: str = "a", number: int = 1, **changes: Any) -> Job:
    return Job(**{"id": f"job-{number}", "name": f"ingest-{table}", "tables": (f"lake.db.{table}",), **changes})


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level and "autostream" in record.name]


# ------------------------------------------------------------------------------------------------ what is published


def test_a_watermark_is_published_after_the_commit_that_has_its_rows(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE)
    for _ in range(40):
        world.go(5)
        published = world.mark().watermark_ms
        assert published is None or published <= job.committed_ms["lake.db.a"]
    assert len(world.advances()) >= 3
    assert world.advances() == sorted(set(world.advances()))
    writer = world.mark().writer("ingest-a")
    assert writer is not None
    assert (writer.job_id, writer.status) == ("job-1", WriterStatus.ACTIVE)


def test_without_commits_nothing_is_published_and_the_table_says_why(world_of: NewWorld) -> None:
    job = ingest(commits=False)
    world = world_of(job)
    recorder = world.record(RULE)
    world.go(600)
    assert world.advances("ingest-a") == []
    assert world.mark().watermark_ms is None
    assert recorder.notes() == {"lake.db.a, writer ingest-a": "the table has no commit of its job yet"}
    assert world.mark().writers[0].note == "the table has no commit of its job yet"
    job.commits = True
    world.go(200)
    assert world.mark().watermark_ms is not None
    assert world.mark().writers[0].note == ""
    assert recorder.notes() == {}


def test_no_table_gets_more_than_one_commit_an_interval(world_of: NewWorld) -> None:
    world = world_of(ingest(), ingest(number=2, name="ingest-a-2"), ingest(number=3, name="ingest-a-3"))
    world.record({"job": "ingest-a.*", "table": "lake.db.a"}, interval_seconds=30)
    world.go(300)
    times = [at for at, _ in world.publications]
    assert len(times) >= 6
    assert min(later - earlier for earlier, later in pairwise(times)) >= 30
    writers = {event.writer for _, change in world.publications[-1:] for event in change.events}
    assert writers == {None, "ingest-a", "ingest-a-2", "ingest-a-3"}, "one commit for all"


def test_what_is_proved_late_is_published_at_once_when_nothing_was_for_an_interval(world_of: NewWorld) -> None:
    job = ingest(commits=False)
    world = world_of(job)
    world.record(RULE, interval_seconds=60, poll_seconds=5)
    world.go(140)
    world.publications.clear()
    committed_at = world.now
    job.commits = True
    world.checkpoint(job)
    world.go(60)
    assert world.publications
    assert world.publications[0][0] - committed_at <= 5 + 3 + 1, "a poll, the age of a page, and a step"


def test_the_slowest_writer_holds_the_table_back(world_of: NewWorld) -> None:
    world = world_of(ingest(lag=5), ingest(number=2, name="ingest-a-2", lag=500))
    world.record({"job": "ingest-a.*", "table": "lake.db.a"})
    world.go(200)
    mark = world.mark()
    slow = mark.writer("ingest-a-2")
    assert slow is not None
    assert mark.watermark_ms == slow.watermark_ms
    assert mark.watermark_ms <= world.wall_ms - 500_000


def test_a_job_names_its_tables_itself(world_of: NewWorld) -> None:
    parameters = {"autostream.watermark.table": "lake.db.a, lake.db.b", "autostream.watermark.writer": "both"}
    world = world_of(ingest(name="other", tables=("lake.db.a", "lake.db.b"), parameters=parameters))
    world.record(RULE)
    world.go(200)
    for table in ("db.a", "db.b"):
        assert [writer.name for writer in world.mark(table).writers] == ["both"]
        assert world.mark(table).watermark_ms is not None


def test_a_sink_that_is_not_found_does_not_hold_up_the_others(world_of: NewWorld, lake: SqlCatalog) -> None:
    lake.create_table("db.c", IDS)
    parameters = {"autostream.watermark.table": "lake.db.a,lake.db.c"}
    world = world_of(ingest(tables=("lake.db.a", "lake.db.b"), parameters=parameters))
    recorder = world.record()
    world.go(200)
    assert world.mark("db.a").watermark_ms is not None
    assert world.mark("db.c").watermark_ms is None
    assert "it is not clear which sink of its job writes to the table" in "".join(recorder.notes().values())


def commit_for_a_while(world: World, job: Job, *operators: str) -> None:
    for _ in range(10):
        world.go(5)
        for operator in operators:
            world.commit(job, "lake.db.a", job.history[-1][0], operator=operator)


def test_two_sinks_of_a_job_into_one_table_have_to_commit_both(world_of: NewWorld) -> None:
    """Each under a name of its own: a commit of the one proves nothing of the other."""
    job = ingest(tables=("lake.db.a", "lake.db.b"), commits=False)
    world = world_of(job)
    rules = [{"job": "ingest-a", "table": "lake.db.a", "writer": name, "operator": name} for name in ("db.a", "db.b")]
    world.record(*rules, interval_seconds=10)
    commit_for_a_while(world, job, "one")
    assert world.advances("db.a") == world.advances("db.b") == []
    commit_for_a_while(world, job, "one", "other")
    assert world.advances("db.a")
    assert world.advances("db.b")


def test_two_rules_of_one_writer_count_both_of_its_sinks(world_of: NewWorld) -> None:
    """The table is as complete as the slower one makes it, and both have to have committed."""
    job = ingest(tables=("eu.a", "us.a"), commits=False, behind={"us.a": 1000})
    world = world_of(job)
    rules = [{"job": "ingest-a", "table": "lake.db.a", "operator": name} for name in ("eu", "us")]
    world.record(*rules, interval_seconds=10)
    commit_for_a_while(world, job, "one")
    assert world.mark().watermark_ms is None
    commit_for_a_while(world, job, "one", "other")
    (writer,) = world.mark().writers
    assert writer.name == "ingest-a"
    assert 0 < (world.mark().watermark_ms or 0) <= (job.read_ms or 0) - 1_000_000


def test_a_sink_that_no_rule_names_is_noticed_by_its_commits(world_of: NewWorld) -> None:
    job = ingest(tables=("eu.a", "us.a"), commits=False)
    world = world_of(job)
    recorder = world.record({"job": "ingest-a", "table": "lake.db.a", "operator": "eu"}, interval_seconds=10)
    for _ in range(10):
        world.go(5)
        for operator in ("one", "other"):
            world.commit(job, "lake.db.a", job.history[-1][0], operator=operator)
    assert world.mark().watermark_ms is None
    assert (
        "2 sinks of its job commit to the table, but watermark.writers names only 1"
        in recorder.notes()["lake.db.a, writer ingest-a"]
    )


def test_nothing_is_published_while_checkpoints_can_overtake_files(world_of: NewWorld) -> None:
    """Settings can change with each life of a job; its table says why it does not advance."""
    job = ingest(unaligned=True)
    world = world_of(job)
    world.clusters[0].version = "1.20.0"  # IcebergSink is right from 1.20.1 on
    recorder = world.record(RULE)
    world.go(400)
    assert world.mark().watermark_ms is None
    (note,) = recorder.notes().values()
    assert note.startswith(
        "its checkpoints may be unaligned, and overtake files of an IcebergSink in Flink before 1.20.1"
    )
    assert world.mark().writers[0].note == note

    job.attempt, job.unaligned = 1, False
    world.go(200)
    advanced = world.mark().watermark_ms
    assert advanced is not None
    assert recorder.notes() == {}

    job.attempt, job.unaligned = 2, True
    world.go(200)
    assert (world.mark().watermark_ms or 0) < advanced + 100_000, "of before the restart at most"


# ------------------------------------------------------------------------------------------------ lives and ends


def test_a_restart_voids_what_was_read_before(world_of: NewWorld) -> None:
    job = ingest(lag=5, commits=False)
    world = world_of(job)
    world.record(RULE, interval_seconds=20)
    world.go(60)
    before_ms = job.read_ms
    job.attempt, job.lag = 1, 10_000  # it reads all of it once more
    job.restored = (job.history[-1][0], T0)
    job.commits = True
    world.go(100)
    assert before_ms is not None
    assert 0 < (world.mark().watermark_ms or 0) < before_ms - 5_000_000


def test_a_job_that_restarts_under_its_id_proves_nothing_by_its_old_commits(world_of: NewWorld) -> None:
    """So it is in an application cluster whose job has a fixed id and is given no state."""
    job = ingest()
    world = world_of(job)
    world.record(RULE)
    world.go(300)
    job.history.clear()
    job.started_ms, job.commits = 1, False
    for _ in range(200):
        world.go(1)
        assert (world.mark().watermark_ms or 0) <= job.committed_ms["lake.db.a"]
    job.commits = True
    world.go(200)
    assert (world.mark().watermark_ms or 0) >= world.wall_ms - 150_000


def test_two_running_jobs_of_one_name_are_not_recorded(world_of: NewWorld) -> None:
    jobs = [ingest(), ingest(number=2)]
    world = world_of(*jobs)
    recorder = world.record(RULE)
    world.go(300)
    assert world.mark().watermark_ms is None
    assert "give the jobs different names" in recorder.notes()["lake.db.a, writer ingest-a"]
    jobs[0].state = "CANCELED"
    world.go(200)
    assert world.mark().watermark_ms is not None
    assert world.mark().writers[0].job_id == "job-2"


def test_a_job_without_checkpoints_says_so(world_of: NewWorld) -> None:
    job = ingest(checkpointing=False)
    world = world_of(job)
    recorder = world.record(RULE)
    world.go(100)
    assert "makes no checkpoints" in recorder.notes()["lake.db.a, writer ingest-a"]
    assert world.mark().watermark_ms is None


def test_a_restored_job_goes_on_where_its_predecessor_was(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE)
    world.go(200)
    before = world.mark().watermark_ms
    job.state = "CANCELED"
    world.go(10)
    world.clusters[0].jobs.append(ingest(number=2, restored=(job.history[-1][0], T0)))
    world.go(200)
    after = world.mark()
    assert [writer.name for writer in after.writers] == ["ingest-a"]
    assert (after.writers[0].job_id, after.writers[0].status) == ("job-2", WriterStatus.ACTIVE)
    assert before is not None
    assert (after.watermark_ms or 0) > before + 100_000


@pytest.mark.parametrize(
    ("kinds", "ended"), [(["CHECKPOINT"], True), (["SYNC_SAVEPOINT"], False), (["SYNC_SAVEPOINT", "CHECKPOINT"], True)]
)
def test_a_job_that_ends_by_itself_completes_its_table_and_one_that_is_stopped_does_not(
    world_of: NewWorld, kinds: list[str], ended: bool
) -> None:
    job = ingest()
    world = world_of(job)
    world.record(ENDS)
    world.go(100)
    for kind in kinds:
        world.checkpoint(job, kind=kind)
    job.state = "FINISHED"
    world.go(200)
    assert world.mark().ended is ended
    assert world.mark().watermark_ms is not None


def test_a_page_of_checkpoints_that_is_older_than_the_end_is_not_believed(
    world_of: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flink keeps each page for a while: that of jobs may show the end before that of checkpoints does."""
    job = ingest()
    world = world_of(job)
    cluster = world.clusters[0]
    page = cluster.checkpoints_page
    pages: list[tuple[float, Any]] = []

    def as_old_as_may_be(_: Job) -> Any:
        return [kept for at, kept in pages if at <= world.now - REFRESH][-1]

    def go(seconds: float) -> None:
        for _ in range(round(seconds * 2)):
            pages.append((world.now, page(job)))
            world.go(0.5)

    go(10)
    monkeypatch.setattr(cluster, "checkpoints_page", as_old_as_may_be)
    world.record(ENDS)
    go(0.5)
    listed = cluster.asked["overview"]
    go(59)
    world.checkpoint(job, kind="SYNC_SAVEPOINT")
    job.state = "FINISHED"
    go(1)
    assert cluster.asked["overview"] == listed + 1, "the end is seen before the savepoint"
    go(200)
    assert not world.mark().ended


def test_a_job_that_had_ended_before_the_recorder_came(world_of: NewWorld) -> None:
    job = ingest(state="FINISHED", history=[(1, "CHECKPOINT")])
    world = world_of(job)
    world.clusters[0].metrics_page = lambda *_: []  # type: ignore[method-assign]
    world.record(ENDS)
    world.go(100)
    assert world.mark().ended


def test_a_job_that_goes_on_is_not_ended_by_one_that_had_its_name(world_of: NewWorld) -> None:
    old = ingest(state="FINISHED", history=[(1, "CHECKPOINT")])
    world = world_of(old, ingest(number=2))
    world.record(ENDS)
    world.go(200)
    assert world.mark().watermark_ms is not None
    assert not world.mark().ended


def test_that_the_input_has_ended_is_seen_in_the_table_of_a_job_that_is_gone(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.record(ENDS)
    world.go(100)
    world.checkpoint(job, as_id=END_OF_INPUT)
    world.clusters[0].jobs.clear()
    world.go(200)
    assert world.mark().ended


@pytest.mark.parametrize("how", ["FINISHED", "END_OF_INPUT", "LAST_WATERMARK"])
def test_the_end_of_one_run_is_complete_up_to_its_last_proved_watermark(world_of: NewWorld, how: str) -> None:
    """The same writer may be submitted again next hour: only a rule can say that it will not."""
    job = ingest()
    world = world_of(job)
    recorder = world.record(RULE)
    world.go(100)
    last_ms = job.read_ms
    if how == "LAST_WATERMARK":
        job.lag = -1e12  # the sources have ended, and say so by Java's greatest long
        world.go(100)
    else:
        world.checkpoint(job, as_id=END_OF_INPUT if how == "END_OF_INPUT" else None)
        job.state = "FINISHED"
    world.go(500)
    assert last_ms is not None
    assert last_ms - 100_000 < (world.mark().watermark_ms or 0) <= last_ms
    note = (
        "the input of its job has ended" if how == "LAST_WATERMARK" else "its job has finished: the table waits for the"
    )
    assert recorder.notes()["lake.db.a, writer ingest-a"].startswith(note)
    assert world.mark().writers[0].note.startswith(note)


@pytest.mark.parametrize("same_id", [False, True], ids=["another id", "the same id"])
def test_a_new_run_takes_back_that_its_writer_had_ended(world_of: NewWorld, same_id: bool) -> None:
    job = ingest(started_ms=T0)
    world = world_of(job)
    world.record(ENDS)
    world.go(100)
    job.state = "FINISHED"
    world.go(100)
    assert world.mark().ended
    before_ms = world.advances()[-2]
    assert T0 <= before_ms <= job.committed_ms["lake.db.a"]
    job.listed = False
    world.go(70)
    again = ingest(number=1 if same_id else 2, started_ms=world.wall_ms, commits=False)
    world.clusters[0].jobs[:] = [again]
    world.publications.clear()
    world.go(100)

    assert world.mark().watermark_ms == before_ms
    (writer,) = world.mark().writers
    assert (writer.job_id, writer.status, writer.watermark_ms) == (again.id, WriterStatus.ACTIVE, before_ms)
    resets = [e for _, change in world.publications for e in change.events if e.kind is EventKind.RESET]
    assert [(event.writer, event.watermark_ms) for event in resets] == [("ingest-a", before_ms), (None, before_ms)]
    assert "is a new run of writer ingest-a, which had ended" in resets[0].note

    again.commits = True
    world.go(200)
    assert (world.mark().watermark_ms or 0) > before_ms
    again.state = "FINISHED"
    world.go(100)
    assert world.mark().ended


def test_a_restarted_recorder_leaves_a_writer_that_has_ended(world_of: NewWorld) -> None:
    """Though its job still runs, as it may for a while after its input has ended."""
    job = ingest(started_ms=T0)
    world = world_of(job)
    world.record(ENDS)
    world.go(100)
    job.lag = -1e12
    world.go(200)
    assert world.mark().ended
    world.publications.clear()
    world.recorders.clear()
    world.record(ENDS)
    world.go(200)
    assert world.mark().ended
    assert world.publications == []


def test_an_earlier_run_that_is_still_listed_does_not_end_its_writer(world_of: NewWorld) -> None:
    old = ingest(state="FINISHED", history=[(1, "CHECKPOINT")], started_ms=T0)
    world = world_of(old, ingest(number=2, started_ms=T0 + 1, state="FAILED"))
    world.record(ENDS)
    world.go(200)
    assert not world.mark().ended


def test_a_watermark_of_the_future_is_not_recorded(world_of: NewWorld) -> None:
    job = ingest(lag=-3600)
    world = world_of(job)
    recorder = world.record(RULE)
    world.go(200)
    assert world.mark().watermark_ms is None
    note = recorder.notes()["lake.db.a, writer ingest-a"]
    assert note.startswith("its job has read a row from the future: its watermark 2026-11-25T03:")
    assert "ahead of now; the most is 10 min (watermark.max_ahead_seconds)" in note


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_job_that_fails_completes_nothing(world_of: NewWorld, state: str) -> None:
    job = ingest()
    world = world_of(job)
    recorder = world.record(ENDS)
    world.go(100)
    job.state = state
    world.go(500)
    assert not world.mark().ended
    assert recorder.notes() == {"lake.db.a, writer ingest-a": f"its job is {state}"}
    assert world.mark().writers[0].note == f"its job is {state}"


def test_jobs_that_are_gone_are_forgotten(world_of: NewWorld) -> None:
    world = world_of(ingest(), ingest("b", 2), ingest(number=3, name="nobody's"))
    recorder = world.record(RULE)
    world.go(70)
    assert len(recorder.jobs.clusters[0].jobs) == 2
    assert recorder.jobs.clusters[0].ignored == {"job-3"}
    world.clusters[0].jobs.clear()
    world.go(200)
    assert (recorder.jobs.clusters[0].jobs, recorder.jobs.clusters[0].ignored) == ({}, set())
    asked = world.clusters[0].asked.total()
    world.go(60)
    assert world.clusters[0].asked.total() == asked + 1


def test_a_job_that_is_missing_from_a_list_and_back_is_recorded_again(world_of: NewWorld) -> None:
    """So it is while a job manager takes over from another one."""
    job = ingest()
    world = world_of(job)
    world.record(RULE)
    world.go(130)
    job.listed = False
    world.go(60)
    job.listed = True
    before = world.mark().watermark_ms
    world.go(200)
    assert before is not None
    assert (world.mark().watermark_ms or 0) > before + 100_000


# ------------------------------------------------------------------------------------------------ what fails


def test_flink_is_not_reached_for_an_hour(world_of: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = world_of(ingest())
    world.record(RULE)
    world.go(150)
    before = world.mark().watermark_ms
    cluster = world.clusters[0]
    cluster.down = True
    cluster.asked.clear()
    world.checkpoint_seconds = 300
    world.go(3600)
    world.checkpoint_seconds = 10
    assert world.mark().watermark_ms in (before, *world.advances()[-1:])
    assert sum("/jobs/overview: connection refused" in text for text in said(caplog)) == 1
    assert cluster.asked.total() <= 60 + 60 + 20, "one request a minute for the cluster, one for its job, and the first"
    assert world.mark().writers[0].note == "its Flink cluster does not answer"
    cluster.down = False
    world.go(200)
    assert (world.mark().watermark_ms or 0) >= world.wall_ms - 150_000
    assert any("works again" in text for text in said(caplog, logging.INFO))


@pytest.mark.parametrize("answer", [{}, [], "x", {"vertices": [{}]}, {"history": []}], ids=str)
def test_answers_that_are_garbage_publish_nothing_and_pass(world_of: NewWorld, answer: Any) -> None:
    world = world_of(ingest())
    world.record(RULE)
    world.go(150)
    before = len(world.advances())
    world.clusters[0].broken = answer
    world.go(300)
    assert len(world.advances()) <= before + 1
    assert not world.mark().ended
    world.clusters[0].broken = None
    world.go(200)
    assert (world.mark().watermark_ms or 0) >= world.wall_ms - 150_000


def test_a_cluster_that_does_not_answer_holds_up_no_other(world_of: NewWorld) -> None:
    world = world_of(ingest(), clusters=2)
    world.clusters[1].jobs.append(ingest("b", 2))
    world.clusters[0].down = True
    world.record(RULE)
    world.go(200)
    assert world.mark("db.a").writers == ()
    assert world.mark("db.b").watermark_ms is not None


def test_the_catalog_is_down_for_an_hour(world_of: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(ingest())
    world.record(RULE)
    world.go(150)
    world.catalog_is_down = True
    world.checkpoint_seconds = 300
    world.go(3600)
    world.checkpoint_seconds = 10
    assert sum(text.startswith("lake.db.a: ") for text in said(caplog)) == 1
    world.catalog_is_down = False
    world.go(200)
    assert (world.mark().watermark_ms or 0) >= world.wall_ms - 150_000


def test_a_table_that_is_missing_until_it_is_made(
    world_of: NewWorld, lake: SqlCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    lake.drop_table("db.a")
    world = world_of(ingest(), ingest("b", 2))
    world.record(RULE)
    world.go(300)
    assert [text for text in said(caplog) if "db.a does not exist" in text] == said(caplog)[:1]
    assert world.mark("db.b").watermark_ms is not None
    lake.create_table("db.a", IDS)
    world.go(200)
    assert world.mark("db.a").watermark_ms is not None


def test_what_was_proved_of_a_table_is_forgotten_when_it_is_created_again(world_of: NewWorld, lake: SqlCatalog) -> None:
    job = ingest()
    world = world_of(job)
    recorder = world.record(RULE, interval_seconds=60)
    world.go(100)
    for _ in range(200):
        world.go(0.5)
        if any(report.watermark_ms for report in recorder.tables.known["lake.db.a"].reports.values()):
            break
    else:
        raise AssertionError("nothing ever waits to be published")
    job.commits = False
    lake.drop_table("db.a")
    lake.create_table("db.a", IDS)
    world.go(300)
    assert world.mark().watermark_ms is None
    assert [writer.watermark_ms for writer in world.mark().writers] == [None]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"job": "ingest-a", "table": "lake.db.{nobody}"}, "the job has no group"),
        ({"job": "ingest-a", "table": "db"}, "Invalid table name"),
        ({"job": "ingest-a", "table": "lake.db.a", "writer": " "}, "Invalid writer name"),
    ],
)
def test_an_invalid_rule_is_reported_once_and_does_not_stop_others(
    world_of: NewWorld, caplog: pytest.LogCaptureFixture, rule: dict[str, str], says: str
) -> None:
    world = world_of(ingest(), ingest("b", 2))
    world.record(rule, {"job": "ingest-b", "table": "lake.db.b"})
    world.go(200)
    assert len([text for text in said(caplog) if says in text]) == 1
    assert world.mark("db.b").watermark_ms is not None


def test_who_is_told_of_publications_may_fail(world_of: NewWorld, caplog: pytest.LogCaptureFixture) -> None:
    def fails(*_: Any) -> None:
        raise KeyError("history")

    world = world_of(ingest())
    world.record(RULE, on_publication=fails)
    world.go(200)
    assert world.mark().watermark_ms is not None
    assert any("lake.db.a: unexpected KeyError: 'history'" in text for text in said(caplog))


# ------------------------------------------------------------------------------------------------ several recorders


class Elected:
    """Leadership as the test says."""

    def __init__(self, *, leads: bool) -> None:
        self.led, self.verified = leads, leads

    def leads(self) -> bool:
        return self.led

    def verify(self) -> None:
        if not self.verified:
            raise LockLostError("This process is not the one; nothing was changed.")


def test_who_does_not_lead_publishes_nothing_and_takes_over_at_once(world_of: NewWorld) -> None:
    world = world_of(ingest())
    leadership = Elected(leads=False)
    world.record(RULE, leadership=leadership)
    world.go(300)
    assert world.publications == []
    leadership.led = leadership.verified = True
    world.go(1)
    assert world.mark().watermark_ms is not None


def test_leadership_that_is_lost_without_notice_publishes_nothing(world_of: NewWorld) -> None:
    world = world_of(ingest())
    leadership = Elected(leads=True)
    world.record(RULE, leadership=leadership)
    world.go(150)
    before = len(world.publications)
    leadership.verified = False
    world.go(300)
    assert len(world.publications) == before
    leadership.verified = True
    world.go(70)
    assert len(world.publications) > before


def test_two_recorders_at_once_agree(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE)
    world.go(7)
    world.record(RULE)
    for _ in range(60):
        world.go(5)
        assert (world.mark().watermark_ms or 0) <= job.committed_ms["lake.db.a"]
    assert world.advances() == sorted(world.advances())


# ------------------------------------------------------------------------------------------------ idle writers, notes


def test_an_idle_writer_is_retired_and_comes_back(world_of: NewWorld) -> None:
    slow = ingest(number=2, name="ingest-a-2", lag=10)
    world = world_of(ingest(), slow)
    world.record({"job": "ingest-a.*", "table": "lake.db.a"}, retire_after_seconds=300)
    world.go(330)
    slow.state = "CANCELED"
    held = world.mark().writer("ingest-a-2")
    world.go(500)
    mark = world.mark()
    assert held is not None
    assert [(writer.name, writer.status) for writer in mark.writers] == [
        ("ingest-a", WriterStatus.ACTIVE),
        ("ingest-a-2", WriterStatus.RETIRED),
    ]
    assert (mark.watermark_ms or 0) >= world.wall_ms - 150_000
    retired = [event for _, change in world.publications for event in change.events if event.kind is EventKind.RETIRE]
    assert [event.writer for event in retired] == ["ingest-a-2"]
    world.clusters[0].jobs.append(ingest(number=3, name="ingest-a-2", lag=1, restored=(slow.history[-1][0], T0)))
    world.go(300)
    assert {writer.status for writer in world.mark().writers} == {WriterStatus.ACTIVE}


def test_a_recorder_that_was_away_retires_no_writer_for_it(world_of: NewWorld) -> None:
    world = world_of(ingest(), ingest(number=2, name="ingest-a-2"))
    rule = {"job": "ingest-a.*", "table": "lake.db.a"}
    world.record(rule, retire_after_seconds=300)
    world.go(400)
    world.recorders.clear()
    world.checkpoint_seconds = 300
    world.go(1000)
    world.checkpoint_seconds = 10
    world.record(rule, retire_after_seconds=300)
    world.go(400)
    kinds = {event.kind for _, change in world.publications for event in change.events}
    assert kinds == {EventKind.JOIN, EventKind.ADVANCE}
    assert {writer.status for writer in world.mark().writers} == {WriterStatus.ACTIVE}


@pytest.mark.parametrize("skew_seconds", [-7200, 7200])
def test_clocks_of_machines_need_not_agree(world_of: NewWorld, skew_seconds: int) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE, retire_after_seconds=300)
    world.skew_ms = skew_seconds * 1000
    for _ in range(80):
        world.go(5)
        assert (world.mark().watermark_ms or 0) <= job.committed_ms["lake.db.a"]
    assert world.mark().writers[0].status is WriterStatus.ACTIVE
    # Its successor's clock is right.
    world.skew_ms = 0
    world.recorders[:] = []
    world.record(RULE, retire_after_seconds=300)
    world.go(400)
    assert world.mark().writers[0].status is WriterStatus.ACTIVE
    assert (world.mark().watermark_ms or 0) >= world.wall_ms - 150_000


def test_a_reason_is_written_into_the_table_only_when_it_lasts(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE)
    world.go(150)
    job.state = "RESTARTING"
    world.go(250)
    assert world.mark().writers[0].note == ""
    world.go(150)
    assert world.mark().writers[0].note == "Flink does not refresh the metrics of its job"
    noted = len(world.publications)
    world.go(600)
    assert len(world.publications) == noted, "once"
    job.state, job.attempt = "RUNNING", 1
    world.go(200)
    assert world.mark().writers[0].note == ""


def test_a_job_without_watermarks(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.clusters[0].metrics_page = _without_watermark(world.clusters[0].metrics_page)  # type: ignore[method-assign]
    recorder = world.record(RULE)
    world.go(200)
    assert "it has received no rows, or has no watermark strategy" in "".join(recorder.notes().values())
    assert world.mark().watermark_ms is None


def _without_watermark(metrics: Callable[..., Any]) -> Callable[..., Any]:
    def answer(job: Job, parameters: dict[str, str]) -> Any:
        return [
            {**metric, "value": str(-(2**63))} if "Watermark" in metric["id"] else metric
            for metric in metrics(job, parameters)
        ]

    return answer


# ------------------------------------------------------------------------------------------------ what it costs


def test_a_checkpoint_is_triggered_after_each_reading_where_that_is_wanted(world_of: NewWorld) -> None:
    world = world_of(ingest(history=[(1, "CHECKPOINT")]))
    world.checkpoint_seconds = 10_000
    world.record(RULE, trigger_checkpoints=True)
    world.go(250)
    assert world.clusters[0].posted == ["/jobs/job-1/checkpoints"] * 5


def test_what_is_asked_of_flink_in_an_interval(world_of: NewWorld, lake: SqlCatalog) -> None:
    """Of a job of one vertex: its life after the commit (5), a baseline, a reading and a floor (1 each): 8 requests."""
    jobs = [ingest("a", number, name=f"ingest-a-{number}") for number in range(5)]
    world = world_of(*jobs)
    world.record({"job": "ingest-a.*", "table": "lake.db.a"}, interval_seconds=60)
    world.go(300)
    cluster, intervals = world.clusters[0], 5
    cluster.asked.clear()
    published = len(world.publications)
    world.go(60 * intervals)
    assert len(world.publications) - published == intervals
    overview = cluster.asked.pop("overview")
    assert overview == intervals
    assert cluster.asked.total() / len(jobs) / intervals <= 8
    assert FOREVER_MS not in world.advances()


# --------------------------------------------------------------------------------------------------- who is told


def told(world: World) -> list[str]:
    return [f"{notice.kind} {notice.subject}" for _, notice in world.notices]


def test_people_are_told_when_a_table_is_late_and_when_it_has_caught_up(world_of: NewWorld) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE, late_after_seconds=600)
    world.go(100)
    job.commits = False
    world.go(400)
    assert told(world) == []
    world.go(300)
    assert told(world) == ["watermark-late table lake.db.a"]
    late = world.notices[0][1]
    assert late.fields["allowed"] == "10 min"
    assert "held back by writer ingest-a (job job-1" in str(late.fields["reason"])
    world.go(1000)
    assert len(world.notices) == 1, "once"
    job.commits = True
    world.go(100)
    assert told(world) == ["watermark-late table lake.db.a", "watermark-caught-up table lake.db.a"]


def test_a_job_that_is_gone_makes_its_table_late(world_of: NewWorld) -> None:
    world = world_of(ingest(), ingest(number=2, table="b"))
    world.record(RULE, late_after_seconds=600)
    world.go(100)
    world.clusters[0].jobs[0].listed = False
    world.go(900)
    assert told(world) == ["watermark-late table lake.db.a"]


@pytest.mark.parametrize(("seconds", "leads"), [(0, True), (600, False)])
def test_nobody_is_told_where_no_time_is_too_late_nor_by_a_recorder_that_does_not_lead(
    world_of: NewWorld, seconds: int, leads: bool
) -> None:
    job = ingest()
    world = world_of(job)
    world.record(RULE, late_after_seconds=0)
    world.record(RULE, leadership=Elected(leads=leads), late_after_seconds=seconds)
    world.go(100)
    job.commits = False
    world.go(2000)
    assert told(world) == []
