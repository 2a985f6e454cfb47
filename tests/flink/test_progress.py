"""How far a job has got, by recorded answers of real ones."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from autostream.errors import ServiceError
from autostream.flink.models import Checkpoints
from autostream.flink.progress import (
    JobSummary,
    Life,
    TaskMetrics,
    job_parameters,
    largest_checkpoint_id,
    largest_id,
    list_jobs,
    metric_names,
    read_life,
    read_metrics,
    read_vertices,
    refresh_seconds,
    trigger_checkpoint,
    was_stopped,
    watermark_operators,
)
from autostream.flink.rest import FlinkRest
from tests.flink.serving import Direct, recorded
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answers, served

Open = Callable[..., tuple[FlinkRest, str]]


@pytest.fixture
def opened(clock: FakeClock) -> Iterator[Open]:
    """Serves a recorded job, with other answers in places; gives its job manager and its id."""
    with ExitStack() as stack:

        def start(folder: str, answers: Answers | None = None, **others: Any) -> tuple[FlinkRest, str]:
            found, job_id = recorded(folder)
            if answers is not None:
                answers.paths.update({**found.paths, **answers.paths})
                found = answers
            for name, answer in others.items():
                found.paths[f"/jobs/{job_id}/{name}" if name != "job" else f"/jobs/{job_id}"] = answer
            return FlinkRest(cluster_at(stack.enter_context(served(found)))), job_id

        yield start


def life(opened: Open, folder: str) -> Life:
    found = read_life(*opened(folder))
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------ lives


@pytest.mark.parametrize(
    ("folder", "state", "running", "over", "recoverable"),
    [
        ("running-v1", "RUNNING", True, False, True),
        ("running-v2", "RUNNING", True, False, True),
        ("restored-v1", "RUNNING", True, False, True),
        ("finished-v1", "FINISHED", False, True, True),
        ("stopped-v1", "FINISHED", False, True, True),
        ("canceled-v1", "CANCELED", False, True, True),
    ],
)
def test_what_a_life_shows(opened: Open, folder: str, state: str, running: bool, over: bool, recoverable: bool) -> None:
    found = life(opened, folder)
    assert (found.state, found.running, found.over, found.recoverable) == (state, running, over, recoverable)
    assert found.restarts == 0


def test_a_restart_is_another_life(opened: Open) -> None:
    before, stale, after = (life(opened, f"restarted/{moment}") for moment in ("before", "stale", "after"))
    assert not before.same_as(stale)
    assert not before.same_as(after)
    # While its metrics are still those of before, the number of restarts is, too, and the attempts tell.
    assert (before.restarts, stale.restarts, after.restarts) == (0, 0, 1)
    assert (stale.attempts, stale.restored) == (after.attempts, after.restored)
    assert before.same_as(life(opened, "restarted/before"))
    assert (before.restored, after.restored) == (None, (3, 1795572614553))
    assert [set(attempts) for attempts in before.attempts.values()] == [{0}] * 4
    assert [set(attempts) for attempts in after.attempts.values()] == [{1}] * 4


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"completed": 99}, True),
        ({"state": "RESTARTING"}, True),
        ({"restarts": None}, True),
        ({"restarts": 1}, False),
        ({"restored": (3, 1)}, False),
        ({"attempts": {"v": (0, 1)}}, False),
        ({"attempts": {"v": (0,)}}, False),
        ({"attempts": {"v": (0, 0), "w": (0,)}}, False),
        ({"statuses": {"v": ("FINISHED", "RUNNING")}}, True),
    ],
)
def test_what_makes_a_life_another_one(change: dict[str, Any], same: bool) -> None:
    one = Life("RUNNING", {"v": (0, 0)}, {"v": ("RUNNING", "RUNNING")}, 0, (2, 1), 7)
    assert one.same_as(replace(one, **change)) is same
    assert replace(one, **change).same_as(one) is same


@pytest.mark.parametrize(
    ("state", "statuses", "running"),
    [
        ("RUNNING", ["RUNNING", "FINISHED"], True),
        ("RUNNING", ["RUNNING", "INITIALIZING"], False),
        ("RUNNING", ["SCHEDULED", "DEPLOYING"], False),
        ("RESTARTING", ["RUNNING", "RUNNING"], False),
        ("SUSPENDED", ["RUNNING"], False),
    ],
)
def test_when_all_of_a_job_runs(state: str, statuses: list[str], running: bool) -> None:
    assert Life(state, {}, {"v": tuple(statuses)}, 0, None, 1).running is running


@pytest.mark.parametrize(
    ("completed", "restored", "recoverable"), [(0, None, False), (1, None, True), (0, (3, 1), True)]
)
def test_whether_there_is_something_to_go_on_from(completed: int, restored: Any, recoverable: bool) -> None:
    assert Life("RUNNING", {}, {}, None, restored, completed).recoverable is recoverable


def test_a_job_whose_metrics_do_not_show_yet(opened: Open) -> None:
    for metrics in ([], 404, [{"id": "uptime", "value": "3"}]):
        found = read_life(*opened("running-v1", metrics=metrics))
        assert found is not None
        assert found.restarts is None


def test_a_job_that_is_gone(opened: Open) -> None:
    assert read_life(*opened("running-v1", job=404)) is None


def test_a_job_without_checkpointing(opened: Open) -> None:
    found = read_life(*opened("running-v1", checkpoints=404))
    assert found is not None
    assert (found.completed, found.recoverable) == (None, False)


def test_a_job_that_restarts_under_its_id_is_another_life(opened: Open) -> None:
    before = read_life(*opened("running-v1"))
    assert before is not None
    assert not before.same_as(replace(before, started_ms=before.started_ms + 1))


def test_a_vertex_that_goes_while_it_is_looked_at(opened: Open) -> None:
    answers, job_id = recorded("running-v1")
    vertex = answers.paths[f"/jobs/{job_id}"]["vertices"][1]["id"]
    assert read_life(*opened("running-v1", **{f"vertices/{vertex}": 404})) is None


# ------------------------------------------------------------------------------------------------ checkpoints


@pytest.mark.parametrize(
    ("folder", "largest"),
    [
        ("running-v1", 5),
        ("running-v2", 3),
        ("restored-v1", 9),
        ("drained-v1", 8),
        ("stopped-v1", 7),
        ("canceled-v1", 3),
    ],
)
def test_the_largest_checkpoint(opened: Open, folder: str, largest: int) -> None:
    assert largest_checkpoint_id(*opened(folder)) == largest


@pytest.mark.parametrize(
    ("checkpoints", "largest"),
    [
        ({"history": [], "latest": {}}, 0),
        ({"history": [], "latest": None}, 0),
        ({"history": [{"id": 3, "status": "COMPLETED"}, {"id": 4, "status": "IN_PROGRESS"}], "latest": None}, 4),
        ({"history": [{"id": 9, "status": "FAILED"}, {"id": "12", "status": "COMPLETED"}]}, 12),
        (
            {
                "history": [],
                "latest": {"completed": None, "savepoint": {"id": 6}, "restored": {"id": 8, "restore_timestamp": 1}},
            },
            8,
        ),
    ],
)
def test_every_checkpoint_that_is_listed_counts(checkpoints: Any, largest: int) -> None:
    assert largest_id(Checkpoints.model_validate(checkpoints)) == largest


@pytest.mark.parametrize(
    ("folder", "stopped"),
    [("finished-v1", False), ("finished-v2", False), ("stopped-v1", True), ("drained-v1", False)],
)
def test_whether_a_job_was_stopped_or_has_ended(opened: Open, folder: str, stopped: bool) -> None:
    assert was_stopped(*opened(folder)) is stopped


@pytest.mark.parametrize(
    ("history", "stopped"),
    [
        ([], False),
        ([("SYNC_SAVEPOINT", "FAILED"), ("CHECKPOINT", "COMPLETED")], False),
        ([("SYNC_SAVEPOINT", "COMPLETED"), ("CHECKPOINT", "FAILED")], True),
        ([("SAVEPOINT", "COMPLETED")], False),
    ],
)
def test_only_the_last_checkpoint_that_completed_tells(opened: Open, history: list[Any], stopped: bool) -> None:
    entries = [{"id": n, "checkpoint_type": kind, "status": status} for n, (kind, status) in enumerate(history)]
    assert was_stopped(*opened("stopped-v1", checkpoints={"history": entries[::-1]})) is stopped


def test_whether_a_job_was_stopped_is_not_known_once_it_is_gone(opened: Open) -> None:
    assert was_stopped(*opened("stopped-v1", checkpoints=404, job=404)) is None


def test_that_a_job_without_checkpointing_ended_by_itself_cannot_be_told(opened: Open) -> None:
    assert was_stopped(*opened("stopped-v1", checkpoints=404)) is True


def test_a_checkpoint_is_triggered(opened: Open) -> None:
    answers = Answers()
    rest, job_id = opened("running-v1", answers)
    trigger_checkpoint(rest, job_id)
    assert answers.posted == [(f"/jobs/{job_id}/checkpoints", {"checkpointType": "FULL"})]


# ------------------------------------------------------------------------------------------------ metrics


def writer_of(opened: Open, folder: str, number: int) -> tuple[FlinkRest, str, str]:
    rest, job_id = opened(folder)
    return rest, job_id, read_vertices(rest, job_id)[number].vertex_id


@pytest.mark.parametrize(
    ("folder", "number", "operators"),
    [
        ("running-v1", 0, []),
        ("running-v1", 1, ["ice-IcebergStreamWriter"]),
        ("running-v2", 0, ["lake_db_a__Writer"]),
        ("running-v2", 1, ["lake_db_a__Sink_pre-commit_aggregator__lake_db_a"]),
        ("two-tables-v2", 0, ["lake_db_a__Writer", "lake_db_b__Writer"]),
        ("chained-v1", 0, ["IcebergFilesCommitter", "IcebergSink_lake_db_a__Writer", "IcebergStreamWriter"]),
    ],
)
def test_operators_that_show_a_watermark(opened: Open, folder: str, number: int, operators: list[str]) -> None:
    assert watermark_operators(metric_names(*writer_of(opened, folder, number))) == operators


def test_metrics_of_each_subtask(opened: Open) -> None:
    found = read_metrics(*writer_of(opened, "restarted/before", 1), "lake_db_a__Writer", range(3))
    assert found == {
        0: TaskMetrics(1700000012824, 6984 + 440 + 0),
        1: TaskMetrics(1700000012824, 6991 + 431 + 0),
        2: TaskMetrics(None, None),
    }


@pytest.mark.parametrize(
    ("folder", "watermark"),
    [("no-watermark-v1", -(2**63)), ("drained-v1", 2**63 - 1), ("finished-v1", 1700000003167)],
)
def test_watermarks_at_the_ends_of_time_are_exact(opened: Open, folder: str, watermark: int) -> None:
    found = read_metrics(*writer_of(opened, folder, 0), "IcebergStreamWriter", [0])
    assert found[0].watermark_ms == watermark


@pytest.mark.parametrize(
    ("value", "number"),
    [("708.0", 708), ("NaN", None), ("Infinity", None), ("-Infinity", None), ("12", 12), (12, 12), ("1E3", 1000)],
)
def test_numbers_as_flink_writes_them(opened: Open, value: Any, number: int | None) -> None:
    metrics = [{"id": "0.op.currentInputWatermark", "value": value}, {"id": "0.accumulateIdleTimeMs", "value": "5"}]
    rest, job_id = opened("running-v1", **{"vertices/v/metrics": metrics})
    assert read_metrics(rest, job_id, "v", "op", [0]) == {0: TaskMetrics(number, 5)}


def test_many_subtasks_are_asked_for_by_parts(opened: Open) -> None:
    answers = Answers()
    rest, job_id = opened(
        "running-v1",
        answers,
        **{"vertices/v/metrics": lambda p: [{"id": name, "value": "7"} for name in p["get"].split(",")]},
    )
    assert read_metrics(rest, job_id, "v", "op", range(100)) == {n: TaskMetrics(7, 21) for n in range(100)}
    assert len(answers.asked) == 7


def test_no_subtasks_are_not_asked_for(opened: Open) -> None:
    answers = Answers()
    rest, job_id = opened("running-v1", answers)
    assert read_metrics(rest, job_id, "v", "op", []) == {}
    assert answers.asked == []


def test_a_vertex_that_is_not_there_has_no_metrics(opened: Open) -> None:
    rest, job_id = opened("running-v1")
    assert metric_names(rest, job_id, "v") == []
    assert read_metrics(rest, job_id, "v", "op", [0]) == {0: TaskMetrics(None, None)}


# ------------------------------------------------------------------------------------------------ the rest


def test_jobs_of_a_cluster(opened: Open) -> None:
    rest, job_id = opened("running-v1")
    assert list_jobs(rest) == [JobSummary(job_id, "events", "RUNNING", 1795572489803)]
    assert refresh_seconds(rest) == 3.0


@pytest.mark.parametrize(
    ("state", "ended"),
    [("RUNNING", False), ("SUSPENDED", False), ("FAILING", False), ("FAILED", True), ("CANCELED", True)],
)
def test_which_states_are_the_last(state: str, ended: bool) -> None:
    assert JobSummary("1", "x", state).ended is ended


def test_parameters_of_a_job(opened: Open) -> None:
    assert job_parameters(*opened("running-v1")) == {"autostream.watermark.writer": "ingest", "team": "search"}
    assert job_parameters(*opened("running-v1", config=404)) is None
    assert job_parameters(*opened("running-v1", config={"jid": "x"})) is None


def test_vertices_and_what_they_get_their_rows_from(opened: Open) -> None:
    source, writer, committer = read_vertices(*opened("running-v1"))
    assert (source.name, source.parallelism, source.inputs) == ("Source: rows", 2, ())
    assert (writer.name, writer.inputs) == ("ice-IcebergStreamWriter", (source.vertex_id,))
    assert (committer.parallelism, committer.inputs) == (1, (writer.vertex_id,))
    assert read_vertices(*opened("running-v1", job=404)) == []


MISSHAPEN = [[], [1], {}, "x", 7.5, None, {"jobs": 1}, {"vertices": [{}]}, {"vertices": [1]}, {"history": 1}]
MISSHAPEN += [{"history": [1]}, {"latest": 1}, {"execution-config": 1}, {"history": [{"status": "COMPLETED"}]}]


@pytest.mark.parametrize("answer", MISSHAPEN, ids=str)
def test_answers_of_another_shape_are_errors_that_name_the_address(answer: Any) -> None:
    answers, job_id = recorded("running-v1")
    rest = Direct(answers)
    asked: list[Callable[[], Any]] = [
        lambda: list_jobs(rest),
        lambda: refresh_seconds(rest),
        lambda: read_life(rest, job_id),
        lambda: read_vertices(rest, job_id),
        lambda: largest_checkpoint_id(rest, job_id),
        lambda: was_stopped(rest, job_id),
        lambda: job_parameters(rest, job_id),
        lambda: metric_names(rest, job_id, "v"),
        lambda: read_metrics(rest, job_id, "v", "op", [0]),
    ]
    for path in [*answers.paths, f"/jobs/{job_id}/vertices/v/metrics"]:
        before = answers.paths.get(path, 404)
        answers.paths[path] = answer
        for ask in asked:
            try:
                ask()
            except ServiceError as error:
                assert f"{rest.url}/" in str(error)  # noqa: PT017
        answers.paths[path] = before


def test_that_nothing_is_said_of_checkpoints_is_not_understood_as_none(opened: Open) -> None:
    rest, job_id = opened("stopped-v1", checkpoints={})
    for ask in (was_stopped, largest_checkpoint_id):
        with pytest.raises(ServiceError, match="Cannot understand"):
            ask(rest, job_id)


def test_an_answer_that_is_not_understood_says_what_to_check(opened: Open) -> None:
    rest, job_id = opened("running-v1", job={"vertices": [{}]})
    with pytest.raises(
        ServiceError, match=rf"Cannot understand the answer .*/{job_id} .state: Field required.*Flink 1\.18"
    ):
        read_life(rest, job_id)
