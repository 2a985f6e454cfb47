"""Jobs judged by the samples in a database: what is written down, what is compared, whom it concerns."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import func, select

import autostream
from autostream.config import load_settings
from autostream.errors import ConfigurationError, NotFoundError
from autostream.health.assessing import low_utilisation
from autostream.health.health_changes import DAY_MS, HOUR_MS
from autostream.health.log import HealthLog
from autostream.names import JobName
from autostream.notices import NoticeKind
from autostream.notify.rows import OutboxMessageRow
from autostream.store.database import open_database
from autostream.telemetry.job_records import GONE
from tests.health.jobs import WELL, settings
from tests.support.clocks import FakeClock
from tests.support.telemetry import fill_telemetry, job_record, job_samples

BUSY = WELL | {"cpu_cores_used": 0.03, "busy_share_max": 1.0}
FAILING = WELL | {"restarts": 1.0}
VERTICES = {"map": {"parallelism": 2.0, "busy_share": 1.0, "busy_share_max": 1.0}}


def fill(clock: FakeClock, job: str, figures: dict[str, float], *, state: str = "RUNNING", **fields: Any) -> None:
    samples = job_samples(job, until_ms=clock.now_ms(), minutes=10, figures=figures, vertices=VERTICES)
    fill_telemetry(samples, [job_record(job, state=state, settings=settings(), **fields)])


def record() -> list[str]:
    """Judge all jobs as the workflow does; the kinds of what was told."""
    return [notice.kind.value for notice in autostream.health(record=True).notices]


def test_the_library_judges_what_was_sampled(clock: FakeClock) -> None:
    fill(clock, "prod/orders", BUSY)
    fill(clock, "prod/users", WELL, team="ads")
    fill(clock, "prod/old", FAILING, state=GONE)
    report = autostream.health()
    assert [(str(job.record.job), job.score) for job in report.jobs] == [("prod/orders", 68), ("prod/users", 80)]
    assert [team.team for team in report.teams] == ["ads", "trade"]
    assert [str(job.record.job) for job in autostream.health(team="ads").jobs] == ["prod/users"]
    one = autostream.health("prod/orders", window_seconds=120)
    assert (one.jobs[0].window_seconds, one.jobs[0].window and one.jobs[0].window.samples) == (120, 2)
    json.dumps(report.to_dict())


def test_a_job_that_is_not_known_is_said(clock: FakeClock) -> None:
    with pytest.raises(NotFoundError, match="autostream flink watch samples jobs"):
        autostream.health("prod/nobody")
    fill(clock, "prod/orders", WELL)
    with pytest.raises(NotFoundError, match="Did you mean prod/orders"):
        autostream.health("prod/order")


def test_ladders_of_the_configuration_hold(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(clock, "prod/orders", BUSY)
    monkeypatch.setenv("AUTOSTREAM_HEALTH__LADDERS", '[{"name": "busy", "weight": 100}]')
    assert autostream.health().jobs[0].score == 0
    monkeypatch.setenv("AUTOSTREAM_HEALTH__LADDERS", '[{"name": "bsy", "weight": 100}]')
    with pytest.raises(ConfigurationError, match="Did you mean busy"):
        autostream.health()


def test_what_changed_since_yesterday_and_the_trend(clock: FakeClock) -> None:
    for hour in range(26):
        clock.advance(3600)
        fill(clock, "prod/orders", WELL if hour < 13 else BUSY)
        record()
    document = autostream.health().to_dict()["jobs"][0]
    change = document["since_yesterday"]
    assert (change["score"], change["began"], change["ended"]) == (-12, ["io-bound"], ["saturated-operator"])
    assert document["trend"] == "falling"


def test_entries_are_written_on_change_and_every_hour_and_forgotten(clock: FakeClock) -> None:
    fill(clock, "prod/orders", BUSY)
    for _ in range(3):
        record()
        clock.advance(60)
    with open_database().read() as connection:
        assert len(HealthLog(connection).entries(JobName("prod", "orders"), since_ms=0)) == 1
    clock.advance(HOUR_MS / 1000)
    fill(clock, "prod/orders", BUSY)
    record()
    with open_database().read() as connection:
        entries = HealthLog(connection).entries(JobName("prod", "orders"), since_ms=0)
    assert [entry.score for entry in entries] == [68, 68]
    assert entries[0].deductions == {"io-bound": 32.0}
    clock.advance(91 * DAY_MS / 1000)
    record()
    with open_database().read() as connection:
        assert [e.score for e in HealthLog(connection).entries(JobName("prod", "orders"), since_ms=0)] == [None]


def test_an_alert_is_told_once_and_its_end_too(clock: FakeClock) -> None:
    fill(clock, "prod/orders", FAILING)
    assert record() == [NoticeKind.HEALTH_LOW, NoticeKind.HEALTH_FINDING]
    clock.advance(900)
    fill(clock, "prod/orders", FAILING)
    assert record() == []
    clock.advance(3600)
    fill(clock, "prod/orders", BUSY)  # 68: it restarts no more, but the score is within the margin
    assert record() == [NoticeKind.HEALTH_RECOVERED]
    clock.advance(900)
    fill(clock, "prod/orders", WELL)
    assert record() == [NoticeKind.HEALTH_RECOVERED]


def test_alerts_of_jobs_that_are_gone_are_forgotten(clock: FakeClock) -> None:
    fill(clock, "prod/orders", FAILING)
    record()
    fill_telemetry(records=[job_record(state="CANCELED")])
    assert record() == []
    with open_database().read() as connection:
        assert HealthLog(connection).alerts() == {}


def test_notices_go_to_the_outbox(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_NOTIFY__TARGETS__ONCALL__URL", "json://localhost:9/x")
    fill(clock, "prod/orders", FAILING)
    record()
    with open_database().read() as connection:
        assert connection.scalar(select(func.count()).select_from(OutboxMessageRow)) == 2


def test_a_process_that_dies_before_its_notices_are_written_leaves_the_alert_to_the_next(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(clock, "prod/orders", FAILING)
    with monkeypatch.context() as dying:
        dying.setattr("autostream.health.assessing.put", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            record()
    assert "health-finding" in record()


def test_low_utilisation_by_the_rules_of_the_configuration(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"name": "idle", "resource": "cpu", "below": 0.05, "window_seconds": 600, "least_coverage": 0.9}
    monkeypatch.setenv("AUTOSTREAM_HEALTH__LOW_UTILISATION", json.dumps([rule]))
    fill(clock, "prod/orders", BUSY)
    fill(clock, "prod/users", WELL, team="ads")
    found = low_utilisation(load_settings())
    assert {str(job): [one.low for one in said] for job, said in found.items()} == {
        "prod/orders": [True],
        "prod/users": [False],
    }
    assert list(low_utilisation(load_settings(), team="ads")) == [JobName("prod", "users")]


def test_names_with_every_character_are_kept(clock: FakeClock) -> None:
    name = "prod/a b'\"; -- %_ 名 \U0001f600" + "x" * 3000
    fill(clock, name, FAILING)
    record()
    with open_database().read() as connection:
        log = HealthLog(connection)
        assert [str(job) for job in log.latest(before_ms=clock.now_ms())] == [name]
        assert list(log.alerts()) == [name]
    clock.advance(60)
    assert record() == []
