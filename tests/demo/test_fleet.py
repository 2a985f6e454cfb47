"""The stand-in fleet: the same findings each time, in the demo's own database, for other commands too."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autostream.cli import flink
from autostream.config.loading import FILE_VARIABLE
from autostream.demo.fleet import CONFIGURATION, MINUTES, STAND_INS, samples_of, show_fleet
from autostream.store.database import open_database
from tests.support.clocks import FakeClock

FOUND = {
    "stand-in/orders-enrich": ["io-bound"],
    "stand-in/users-backfill": ["over-provisioned-parallelism", "memory-over-allotted"],
    "stand-in/clicks-sessions": [],
}


def test_the_stand_ins_are_judged_by_an_hour_of_samples(clock: FakeClock, tmp_path: Path) -> None:
    report = show_fleet(tmp_path)
    assert {str(job.record.job): [finding.id for finding in job.findings] for job in report.jobs} == FOUND
    by_name = {job.record.job.name: job for job in report.jobs}
    assert by_name["clicks-sessions"].score == 100
    assert {job.confidence for job in report.jobs} == {1.0}
    assert [job.window.samples if job.window else 0 for job in report.jobs] == [MINUTES] * 3
    waits = by_name["orders-enrich"].findings[0]
    assert "look up customers is busy for 99 %" in waits.reason
    assert waits.proposal["parallelism"] > 2
    assert by_name["users-backfill"].findings[0].frees.cpu_cores > 8


def test_the_fleet_is_the_same_each_time(clock: FakeClock, tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for directory in (first, second):
        directory.mkdir()
    assert show_fleet(first).to_dict() == show_fleet(second).to_dict()
    assert list(samples_of(STAND_INS[0], 0)) == list(samples_of(STAND_INS[0], 0))


def test_other_commands_find_the_fleet_for_an_hour(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = show_fleet(tmp_path)
    monkeypatch.delenv("AUTOSTREAM_DATABASE__URL")
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / CONFIGURATION))
    clock.advance(30 * 60)
    shown = CliRunner().invoke(flink.app, ["health", "--json"])
    assert shown.exit_code == 0, shown.output
    scores = {job["job"]: job["score"] for job in json.loads(shown.stdout)["jobs"]}
    assert scores == {str(job.record.job): job.score for job in report.jobs}
    clock.advance(31 * 60)
    assert CliRunner().invoke(flink.app, ["health", "--json"]).exit_code == 4


def test_the_users_own_database_is_left_alone(clock: FakeClock, tmp_path: Path) -> None:
    show_fleet(tmp_path)
    configured = open_database().url.database
    assert configured is not None
    assert not Path(configured).exists()
