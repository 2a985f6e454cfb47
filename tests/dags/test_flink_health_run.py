"""The health of jobs as a workflow, on a real Airflow."""

from pathlib import Path

import pytest

from autostream import times
from autostream.store.database import Database
from tests.dags.airflow_runs import run_dag
from tests.health.jobs import WELL, settings
from tests.support.telemetry import fill_telemetry, job_record, job_samples

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def test_jobs_are_judged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/autostream.db"
    samples = job_samples(until_ms=times.now_ms(), minutes=10, figures=WELL | {"restarts": 1.0})
    fill_telemetry(samples, [job_record(settings=settings())], database=Database(url))
    (done,) = run_dag("flink_health", "judge", tmp_path, {}, AUTOSTREAM_DATABASE__URL=url)
    assert done["state"] == "success"
