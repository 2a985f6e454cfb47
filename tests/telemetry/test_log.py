"""Jobs and samples in the database: written, asked for, rolled up, forgotten."""

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from sqlalchemy import func, select

from autostream.flink.job_settings import JobSettings, VertexSettings
from autostream.names import JobName
from autostream.store.database import Database
from autostream.telemetry.figures import tidy
from autostream.telemetry.job_records import KnownJob
from autostream.telemetry.log import Keeping, TelemetryLog
from autostream.telemetry.rollups import STEP_MS, rolled_up
from autostream.telemetry.rows import FlinkJobRow, SampleBlockRow, SampleOutlineRow
from autostream.telemetry.samples import JobSample
from autostream.times import DAY_MS
from tests.support.telemetry import MINUTE, fill_telemetry, job_record, job_samples

ORDERS = JobName("prod", "orders")
MIDNIGHT = 1_795_824_000_000
NOON = MIDNIGHT + DAY_MS // 2
KEPT = Keeping()


def samples_of(database: Database, job: JobName = ORDERS, since_ms: int = 0, **until: int) -> list[JobSample]:
    with database.read() as connection:
        return TelemetryLog(connection).samples(job, since_ms=since_ms, **until)


def pass_a_day(database: Database, now_ms: int, keeping: Keeping = KEPT) -> int:
    """Roll up whatever is due, and say of how many jobs."""
    done = 0
    while True:
        with database.write() as connection:
            log = TelemetryLog(connection)
            if log.roll_up_next(now_ms=now_ms, keeping=keeping) is None:
                log.forget_outlines(now_ms=now_ms, keeping=keeping)
                return done
            done += 1


def rows(database: Database, step_ms: int | None = None) -> int:
    query = select(func.count()).select_from(SampleBlockRow)
    if step_ms is not None:
        query = query.where(SampleBlockRow.step_ms == step_ms)
    with database.read() as connection:
        return connection.scalar(query) or 0


def busy(number: int) -> dict[str, float]:
    return {"cpu_cores_used": tidy(number / 7), "cpu_cores": 2.0, "restarts": float(number % 5 == 0)}


def test_samples_come_back_by_job_and_time(database: Database) -> None:
    orders = job_samples(until_ms=NOON, minutes=5, figures=busy, vertices={"v1": {"busy_share": 0.5}})
    others = job_samples("prod/users", until_ms=NOON, minutes=3, figures={}, missing={"pending_records": "no source"})
    fill_telemetry([*orders, *others], database=database)

    assert samples_of(database) == orders
    assert samples_of(database, others[0].job) == others
    assert samples_of(database, since_ms=NOON - 2 * MINUTE) == orders[3:]
    assert samples_of(database, until_ms=NOON - 2 * MINUTE) == orders[:3]
    assert samples_of(database, JobName("test", "orders")) == []
    with database.read() as connection:
        assert dict(TelemetryLog(connection).recent(since_ms=NOON - MINUTE)) == {
            ORDERS: orders[4:],
            others[0].job: others[2:],
        }


def test_a_sample_that_is_written_twice_is_there_once(database: Database) -> None:
    samples = job_samples(until_ms=NOON, minutes=3, figures=busy)
    fill_telemetry(samples, database=database)
    fill_telemetry([replace(samples[1], figures={}), *samples[2:]], database=database)

    assert samples_of(database) == samples


def test_what_is_known_of_a_job_is_replaced_and_outlives_its_lives(database: Database) -> None:
    settings = JobSettings(
        flink_version="2.3.0",
        parameters={"autostream.team": "trade", "odd": "\0\ud800"},
        vertices=(VertexSettings(vertex_id="v", name="Source: a -> b", parallelism=2, inputs=(("u", "HASH"),)),),
    )
    first, other = job_record(), job_record("prod/a/b", team=None)
    second = replace(first, job_id="b" * 32, state="FAILED", settings=settings)
    fill_telemetry(records=[first, other], database=database)
    fill_telemetry(records=[second], database=database)

    with database.write() as connection:
        log = TelemetryLog(connection)
        assert log.record(ORDERS) == second
        assert log.records() == [other, second]
        assert log.records(team="trade") == [second]
        assert log.records(cluster="test") == []
        assert log.record(JobName("prod", "never")) is None
        log.mark_seen("prod", {ORDERS: "RESTARTING", JobName("prod", "never"): "RUNNING"}, now_ms=7)
        assert log.records() == [replace(other, state="GONE"), replace(second, state="RESTARTING", seen_ms=7)]
        log.mark_seen("test", {}, now_ms=8)
        assert log.record(ORDERS) == replace(second, state="RESTARTING", seen_ms=7)


def test_jobs_are_listed_without_their_settings(database: Database) -> None:
    records = [job_record("prod/a", seen_ms=NOON, state="FAILED"), job_record("prod/b/c", team=None, owner=None)]
    fill_telemetry(records=reversed(records), database=database)

    with database.read() as connection:
        listed = TelemetryLog(connection).listed()

    assert sorted(listed, key=lambda job: job.job) == [
        KnownJob(**{field.name: getattr(record, field.name) for field in fields(KnownJob)}) for record in records
    ]


def test_the_latest_figures_are_those_of_each_jobs_last_sample(database: Database) -> None:
    orders = job_samples(until_ms=NOON, minutes=5, figures=busy)
    others = job_samples("prod/users", until_ms=NOON - 2 * MINUTE, minutes=1, figures={"slots": 3.0})
    old = job_samples("prod/old", until_ms=NOON - 5 * MINUTE, minutes=1, figures=busy)
    fill_telemetry([*orders, *others, *old], database=database)

    with database.read() as connection:
        latest = TelemetryLog(connection).latest(["cpu_cores_used", "slots", "busy"], since_ms=NOON - 5 * MINUTE)

    assert latest == {
        ORDERS: {"cpu_cores_used": orders[-1].figures["cpu_cores_used"]},
        others[0].job: {"slots": 3.0},
    }


def test_names_may_hold_every_character(database: Database) -> None:
    odd = JobName("prod", "a/'\"%_\\ \0 \ud800 名 🚀 " + "x" * 5000)
    sample = JobSample(odd, "a", NOON - MINUTE, NOON, "RUNNING", figures={"slots": 1})
    fill_telemetry([sample], [replace(job_record(), job=odd)], database=database)

    kept = JobName("prod", odd.name.replace("\0", "\ufffd").replace("\ud800", "\ufffd"))
    assert samples_of(database, odd) == [sample]
    with database.read() as connection:
        assert [record.job for record in TelemetryLog(connection).records()] == [kept]


def test_days_that_are_over_are_rolled_up_and_what_is_as_taken_comes_first(database: Database) -> None:
    samples = job_samples(until_ms=NOON, minutes=4 * 24 * 60, figures=busy, vertices={"v": {"busy_share": 0.25}})
    fill_telemetry(samples, database=database)

    assert pass_a_day(database, NOON) == 1
    assert pass_a_day(database, NOON) == 0

    kept = [sample for sample in samples if sample.at_ms > MIDNIGHT - 2 * DAY_MS]
    longer = rolled_up(sample for sample in samples if sample.at_ms <= MIDNIGHT - 2 * DAY_MS)
    assert samples_of(database) == [*longer, *kept]
    assert rows(database, 0) == len(kept)
    assert rows(database, STEP_MS) == 4  # a block for each day, though the first is not a whole one
    since_ms = MIDNIGHT - 2 * DAY_MS - 5 * MINUTE
    assert samples_of(database, since_ms=since_ms) == [longer[-1], *kept]
    assert samples_of(database, until_ms=MIDNIGHT - 3 * DAY_MS) == [
        s for s in longer if s.at_ms <= MIDNIGHT - 3 * DAY_MS
    ]


def test_series_are_those_of_the_samples(database: Database) -> None:
    vertices = {"v": {"busy_share": 0.25}, "w": {"busy_share": 0.5, "parallelism": 3.0}}
    fill_telemetry(job_samples(until_ms=NOON, minutes=5000, figures=busy, vertices=vertices), database=database)
    pass_a_day(database, NOON)

    with database.read() as connection:
        log = TelemetryLog(connection)
        since_ms = NOON - 7 * DAY_MS
        found = log.series(ORDERS, [("cpu_cores_used", None), ("busy_share", "w"), ("slots", None)], since_ms=since_ms)
        samples = log.samples(ORDERS, since_ms=since_ms)

    name = "cpu_cores_used"
    assert [point[:2] for point in found[0]] == [(s.from_ms, s.at_ms) for s in samples]
    assert [point[2] for point in found[0]] == pytest.approx([s.figures[name] for s in samples])
    largest = [s.largest.get(name, s.figures[name]) for s in samples]
    assert [point[3] for point in found[0]] == pytest.approx(largest)
    assert [point[2] for point in found[1]] == [0.5] * len(samples)
    assert found[2] == []


def test_what_is_too_old_is_forgotten_with_all_that_belongs_to_it(database: Database) -> None:
    old = job_samples("prod/gone", until_ms=NOON, minutes=60, figures=busy)
    fill_telemetry(old, database=database)
    for day in (1, 3, 89, 90):
        pass_a_day(database, NOON + day * DAY_MS)
        assert rows(database) > 0
    pass_a_day(database, NOON + 91 * DAY_MS)
    assert rows(database) == 0
    pass_a_day(database, NOON + 95 * DAY_MS)

    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(FlinkJobRow)) == 0
        assert connection.scalar(select(func.count()).select_from(SampleOutlineRow)) == 0


def test_a_job_that_is_still_seen_is_kept_without_samples(database: Database) -> None:
    fill_telemetry(records=[job_record(seen_ms=NOON)], database=database)
    pass_a_day(database, NOON + 89 * DAY_MS)

    with database.read() as connection:
        assert TelemetryLog(connection).record(ORDERS) is not None


@pytest.mark.parametrize("late_ms", [0, 9 * MINUTE])
def test_a_day_is_rolled_up_once_its_last_samples_are_in(database: Database, late_ms: int) -> None:
    samples = job_samples(until_ms=MIDNIGHT, minutes=20, figures=busy)
    fill_telemetry(samples[:-1], database=database)
    pass_a_day(database, MIDNIGHT + late_ms)
    fill_telemetry(samples[-1:], database=database)
    pass_a_day(database, NOON, Keeping(as_taken_days=0))

    assert samples_of(database) == rolled_up(samples)


def test_long_series_are_rolled_up_as_far_as_they_are(database: Database) -> None:
    fill_telemetry(job_samples(until_ms=NOON, minutes=12 * 24 * 60, figures={"slots": 1.0}), database=database)
    pass_a_day(database, NOON)

    with database.read() as connection:
        log = TelemetryLog(connection)
        (week,) = log.series(ORDERS, [("slots", None)], since_ms=NOON - 7 * DAY_MS)
        (all_of_it,) = log.series(ORDERS, [("slots", None)], since_ms=0)

    assert {end - begin for begin, end, *_ in week if end > MIDNIGHT - 2 * DAY_MS} == {MINUTE}
    assert {end - begin for begin, end, *_ in all_of_it if end <= MIDNIGHT} == {15 * MINUTE}
    for points in (week, all_of_it):
        assert points[-1][1] == NOON
        assert all(before[1] == after[0] for before, after in pairwise(points))
