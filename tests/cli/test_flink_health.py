"""`autostream flink health`: what it prints, its JSON, its exit codes, and what it refuses."""

from __future__ import annotations

import json

import pytest

from autostream.health.log import HealthLog
from autostream.store.database import open_database
from tests.health.jobs import WELL, settings
from tests.support.clocks import FakeClock
from tests.support.commands import Finished, autostream_here
from tests.support.telemetry import MINUTE, fill_telemetry, job_record, job_samples

BUSY = WELL | {"cpu_cores_used": 0.03, "busy_share_max": 1.0}


def health(*args: str) -> Finished:
    return autostream_here("flink", "health", *args)


@pytest.fixture
def filled(clock: FakeClock) -> None:
    for job, figures, busy in (("prod/orders", BUSY, 1.0), ("prod/users", WELL, 0.6)):
        vertices = {"enrich": {"parallelism": 2.0, "busy_share": busy, "busy_share_max": busy}}
        samples = job_samples(job, until_ms=clock.now_ms(), minutes=10, figures=figures, vertices=vertices)
        team = "trade" if job == "prod/orders" else None
        fill_telemetry(samples, [job_record(job, team=team, settings=settings())])


@pytest.mark.usefixtures("filled")
def test_jobs_are_listed_the_worst_first_with_reasons_and_fixes() -> None:
    done = health()
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["prod/orders", "trade", "68", "100%"] in [line[:4] for line in lines]
    assert ["prod/users", "-", "100", "100%"] in [line[:4] for line in lines]
    text = " ".join(done.stdout.split())
    assert "prod/orders: 68 of 100, 100% sure" in text
    assert "io-bound -32: enrich is busy for 100 % of the time, but it uses 0.03 cores of 2 cores" in text
    assert "Parallelism 2 → 3, task managers 2 → 3: takes 1 core, 2.0 GiB." in text
    assert ["all", "84"] in [line[:2] for line in lines]


@pytest.mark.usefixtures("filled")
def test_one_job_as_json() -> None:
    done = health("prod/orders", "--window", "5m", "--json")
    document = json.loads(done.stdout)
    (job,) = document["jobs"]
    assert (job["job"], job["job_id"], job["team"], job["score"]) == ("prod/orders", "a" * 32, "trade", 68)
    assert (job["confidence"], job["window_seconds"]) == (1.0, 300)
    (finding,) = job["findings"]
    assert finding["id"] == "io-bound"
    assert finding["proposal"]["parallelism"] == 3
    assert finding["frees"] == {"cpu_cores": 0.0, "memory_bytes": 0}
    assert (job["current"]["parallelism"], job["proposed"]["parallelism"]) == (2, 3)


@pytest.mark.usefixtures("filled")
def test_only_jobs_of_a_team() -> None:
    assert [job["job"] for job in json.loads(health("--team", "trade", "--json").stdout)["jobs"]] == ["prod/orders"]


@pytest.mark.usefixtures("filled")
def test_what_the_workflow_does_can_be_done_by_hand(clock: FakeClock) -> None:
    assert health("--record", "--json").exit_code == 0
    with open_database().read() as connection:
        assert len(HealthLog(connection).latest(before_ms=clock.now_ms())) == 2


def test_without_samples_nothing_is_known(clock: FakeClock) -> None:
    done = health()
    assert (done.exit_code, done.stdout.startswith("There are no jobs to judge.")) == (4, True)
    fill_telemetry(records=[job_record(settings=settings())])
    done = health("prod/orders", "--json")
    (job,) = json.loads(done.stdout)["jobs"]
    assert (done.exit_code, job["score"], job["confidence"]) == (4, None, 0.0)
    assert job["unknown"] == "Nothing was measured in the window."
    assert clock.now_ms() > MINUTE


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("prod/nobody",), "Nothing is known of job prod/nobody"),
        (("nobody",), "CLUSTER/NAME"),
        (("--window", "2d"), "from 1 s to 1 d"),
        (("--window", "x"), "Invalid duration"),
        (("--record", "prod/orders"), "--record is about all jobs"),
    ],
)
def test_what_is_refused(args: tuple[str, ...], message: str) -> None:
    done = health(*args)
    assert done.exit_code == 2
    assert message in done.stderr
