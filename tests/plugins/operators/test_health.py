"""Jobs judged by an operator: written down and told, whatever of them is known."""

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from autostream.health.log import HealthLog
from autostream.store.database import open_database
from autostream_airflow.operators.health import RecordHealthOperator
from tests.health.jobs import WELL, settings
from tests.support.clocks import FakeClock
from tests.support.telemetry import fill_telemetry, job_record, job_samples


@pytest.fixture(autouse=True)
def _own_database(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", f"sqlite:///{tmp_path}/autostream.db")


def judge(context: dict[str, Any]) -> dict[str, Any]:
    return RecordHealthOperator(task_id="judge").execute(context)  # type: ignore[arg-type]


def test_jobs_are_judged_written_down_and_told(
    context: dict[str, Any], clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = job_samples(until_ms=clock.now_ms(), minutes=10, figures=WELL | {"restarts": 1.0})
    fill_telemetry(bad, [job_record(settings=settings()), job_record("prod/silent", settings=settings())])
    done = judge(context)
    said = capsys.readouterr().out
    assert (done["jobs"], done["notices"]) == (2, 1)
    assert done["teams"][0]["team"] == "trade"
    assert done["platform"]["unknown"] == 1
    assert "restarting" in said
    assert "1 of 2 jobs have no recent samples" in said
    with open_database().read() as connection:
        assert len(HealthLog(connection).latest(before_ms=clock.now_ms())) == 2


def test_without_jobs_it_says_what_takes_samples(context: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(context)["jobs"] == 0
    assert "Run `autostream flink watch`" in capsys.readouterr().out


def test_a_wrong_ladder_fails_at_once(context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_HEALTH__LADDERS", '[{"name": "bsy", "weight": 1}]')
    with pytest.raises(AirflowFailException, match="Did you mean busy"):
        judge(context)


def test_a_database_that_is_away_is_tried_again(context: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_DATABASE__URL", "sqlite:////proc/nowhere/autostream.db")
    with pytest.raises(AirflowException) as caught:
        judge(context)
    assert not isinstance(caught.value, AirflowFailException)
