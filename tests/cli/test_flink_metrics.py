"""`autostream flink metrics` and `autostream flink watch`: what they print, write, and refuse."""

import csv
import io
import signal
import subprocess
from pathlib import Path

import pytest

from autostream.store.database import open_database
from autostream.telemetry.log import TelemetryLog
from autostream.times import DAY_MS
from tests.support.clocks import FakeClock
from tests.support.commands import Finished, autostream_here, finish, start
from tests.support.job_managers import StandInJobManager, serving_job_manager
from tests.support.telemetry import MINUTE, fill_telemetry, job_record, job_samples

VERTICES = {"v1": {"busy_share": 0.9, "parallelism": 2.0}, "v2": {"busy_share": 0.1}}


@pytest.fixture
def filled(clock: FakeClock) -> None:
    samples = job_samples(
        until_ms=clock.ms - MINUTE,
        minutes=120,
        figures=lambda number: {"cpu_cores_used": number / 100, "heap_used_bytes": 2.0**30, "restarts": number % 2},
        vertices=VERTICES,
        missing={"pending_records": "'Source: a' tell no pendingRecords"},
    )
    fill_telemetry(samples, [job_record(state="RUNNING")])


def metrics(*args: str) -> Finished:
    return autostream_here("flink", "metrics", *args)


@pytest.mark.usefixtures("filled")
def test_figures_are_printed_for_people() -> None:
    printed = metrics("prod/orders", "--since", "1h").stdout

    assert "prod/orders: 59 samples, 59 min covered" in printed
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    assert lines["cpu_cores_used"] == ["1.19", "0.9", "0.61", "1.19"]
    assert lines["heap_used_bytes"] == ["1.0", "GiB"] * 4
    assert lines["restarts"] == ["1", "30", "0", "1"]


@pytest.mark.usefixtures("filled")
def test_json_has_each_sample_and_why_figures_are_missing(clock: FakeClock) -> None:
    document = metrics("prod/orders", "--since", "10m", "--json").document

    assert (document["job"], document["team"], document["state"]) == ("prod/orders", "trade", "RUNNING")
    assert document["missing"] == {"pending_records": "'Source: a' tell no pendingRecords"}
    assert document["vertices"] == [{"id": "v1", "name": "v1"}, {"id": "v2", "name": "v2"}]
    assert len(document["samples"]) == 9
    last = document["samples"][-1]
    assert last["at_ms"] == clock.ms - MINUTE
    assert last["at"] == "2026-11-25T01:59:00Z"
    assert last["figures"] == {"cpu_cores_used": 1.19, "heap_used_bytes": 2**30, "restarts": 1}


@pytest.mark.usefixtures("filled")
def test_csv_has_a_line_for_each_sample() -> None:
    printed = metrics("prod/orders", "--since", "1h", "--figure", "cpu_cores_used", "--output", "csv").stdout

    rows = list(csv.DictReader(io.StringIO(printed)))
    assert len(rows) == 59
    assert rows[0]["figures.cpu_cores_used"] == "0.61"
    assert "figures.restarts" not in rows[0]


@pytest.mark.usefixtures("filled")
def test_a_vertex_is_named_by_its_id_or_the_beginning_of_its_name() -> None:
    document = metrics("prod/orders", "--vertex", "v2", "--json").document
    assert document["vertex"] == {"id": "v2", "name": "v2"}
    assert {row["figures"]["busy_share"] for row in document["samples"]} == {0.1}
    assert "several vertices" in metrics("prod/orders", "--vertex", "v").stderr
    assert "Did you mean v1?" in metrics("prod/orders", "--vertex", "v1x").stderr


@pytest.mark.usefixtures("filled")
def test_what_is_asked_for_wrongly_is_refused() -> None:
    for arguments, words in (
        (["prod/order"], "Did you mean prod/orders?"),
        (["orders"], "Write CLUSTER/NAME"),
        (["prod/orders", "--figure", "cpu"], "There is no figure 'cpu' of a job"),
        (["prod/orders", "--figure", "slots", "--vertex", "v1"], "There is no figure 'slots' of a vertex"),
        (["prod/orders", "--since", "yesterday"], "yesterday"),
    ):
        done = metrics(*arguments)
        assert done.exit_code == 2
        assert words in done.stderr


@pytest.mark.usefixtures("filled")
def test_where_there_are_no_samples_that_is_said() -> None:
    done = metrics("prod/orders", "--since", "30s")

    assert done.exit_code == 4
    assert "There are no samples of prod/orders of that time. It is RUNNING." in done.stdout


def test_where_nothing_was_sampled_it_is_said_what_to_run() -> None:
    assert "autostream flink watch" in metrics("prod/orders").stderr


@pytest.mark.usefixtures("filled")
def test_older_samples_are_shown_in_steps(clock: FakeClock) -> None:
    clock.ms += 4 * DAY_MS
    with open_database().write() as connection:
        TelemetryLog(connection).roll_up_next(now_ms=clock.ms)

    rows = metrics("prod/orders", "--since", "5d", "--json").document["samples"]

    assert len(rows) == 9
    assert rows[1]["at_ms"] - rows[1]["from_ms"] == 15 * MINUTE
    assert rows[1]["largest"]["cpu_cores_used"] > rows[1]["figures"]["cpu_cores_used"]
    assert "largest" in metrics("prod/orders", "--since", "5d").stdout


# ------- watch
def test_watch_samples_for_a_while_and_tells_what_became_of_it() -> None:
    manager = StandInJobManager(2, seconds=lambda: 1000.0)
    with serving_job_manager(manager.answer) as url:
        done = autostream_here("flink", "watch", "--for", "0s", "--json", AUTOSTREAM_FLINK__CLUSTERS__PROD__URL=url)

    assert done.exit_code == 0
    (cluster,) = done.document["clusters"]
    assert (cluster["cluster"], cluster["looks"], cluster["failed"], cluster["problem"]) == ("prod", 1, 0, "")
    with open_database().read() as connection:
        assert len(TelemetryLog(connection).records()) == 2


def test_watch_ends_by_a_signal_when_its_look_is_done(tmp_path: Path) -> None:
    manager = StandInJobManager(1, seconds=lambda: 1000.0)
    heartbeat = tmp_path / "alive"
    with serving_job_manager(manager.answer) as url:
        process = start(
            "flink", "watch", "--heartbeat", str(heartbeat), "--json", AUTOSTREAM_FLINK__CLUSTERS__PROD__URL=url
        )
        while not heartbeat.exists():
            with pytest.raises(subprocess.TimeoutExpired):  # else it has ended
                process.wait(0.05)
        process.send_signal(signal.SIGTERM)
        done = finish(process)

    assert done.exit_code == 0, done.stderr
    assert [cluster["failed"] for cluster in done.document["clusters"]] == [0]


def test_watch_fails_where_a_cluster_was_never_reached() -> None:
    done = autostream_here(
        "flink", "watch", "--for", "0s", "--json", AUTOSTREAM_FLINK__CLUSTERS__PROD__URL="http://127.0.0.1:1"
    )

    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.document["clusters"][0]["problem"]


def test_watch_refuses_what_makes_no_sense() -> None:
    assert "no Flink cluster is configured" in autostream_here("flink", "watch", "--for", "1s").stderr
    one = {"AUTOSTREAM_FLINK__CLUSTERS__PROD__URL": "http://127.0.0.1:1"}
    assert "between 5s and 15min" in autostream_here("flink", "watch", "--interval", "1s", **one).stderr
    assert (
        "Unknown Flink cluster 'test'"
        in autostream_here("flink", "watch", AUTOSTREAM_TELEMETRY__FLINK_CLUSTERS="test", **one).stderr
    )
