"""One job looked at closely over HTTP: each part on its own, and what a cluster lacks is said."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from autostream.config.sections.flink import FlinkClusterSettings, FlinkSettings
from autostream.diagnosis import reading
from autostream.diagnosis.diagnosing import PARTS, USUAL_PARTS, JobDiagnosis, diagnose_job, profile_job
from autostream.diagnosis.profiling import list_runs, run_profiler
from autostream.errors import AutostreamError, NotFoundError, NotReadyError, ServiceError, TimedOutError, UsageError
from autostream.flink.fleet import Fleet
from autostream.flink.rest import FlinkRest
from autostream.http import Limits
from tests.flink.serving import SESSION_JOB, SESSION_TASK_MANAGER, SESSION_VERTICES, session, session_file
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answers, Reply, served

JOB = f"/jobs/{SESSION_JOB}"
TASK_MANAGER = f"/taskmanagers/{quote(SESSION_TASK_MANAGER, safe='')}"
LOG = b"2026-11-28 19:57:50,123 ERROR com.acme.Enrich [] - Lookup of 17 failed\n"


def diagnosed_session() -> Answers:
    """Return the pages of a real session cluster that a diagnosis asks for; the work is that of another moment."""
    answers = session()
    for number, vertex in enumerate(SESSION_VERTICES):
        path = f"{JOB}/vertices/{vertex}"
        answers.paths[f"{path}/backpressure"] = {"status": "ok", "subtasks": []}
        answers.paths[f"{path}/flamegraph"] = session_file("vertex1_flamegraph_full")
        answers.paths[f"{JOB}/checkpoints/details/5/subtasks/{vertex}"] = session_file(
            f"vertex{number}_checkpoint_subtasks"
        )
        answers.paths[f"{path}/metrics"] = []
    work = f"{JOB}/vertices/{SESSION_VERTICES[1]}"
    answers.paths[work] = session_file("vertex1_detail_rescaled")
    answers.paths[f"{work}/backpressure"] = session_file("vertex1_backpressure_rescaled")
    answers.paths[f"{work}/watermarks"] = session_file("vertex1_watermarks")
    answers.paths[f"{JOB}/checkpoints/details/5"] = session_file("job_checkpoint_details")
    answers.paths[f"{JOB}/exceptions"] = {"exceptionHistory": {"entries": [], "truncated": False}}
    for place in ("/jobmanager", TASK_MANAGER):
        answers.paths[f"{place}/thread-dump"] = session_file("taskmanager0_thread_dump")
        answers.paths[f"{place}/log"] = LOG
    return answers


@pytest.fixture
def answers() -> Answers:
    return diagnosed_session()


@pytest.fixture
def prod(answers: Answers) -> Iterator[FlinkClusterSettings]:
    with served(answers) as url:
        yield cluster_at(url)


@pytest.fixture
def fleet(prod: FlinkClusterSettings) -> Fleet:
    return Fleet(FlinkSettings(clusters=(prod,)), limits=Limits(tries=1))


@pytest.fixture
def rest(prod: FlinkClusterSettings) -> FlinkRest:
    return FlinkRest(prod, limits=Limits(tries=1))


def look(fleet: Fleet, *parts: str, **options: Any) -> JobDiagnosis:
    return diagnose_job(fleet, "prod/backlog-job", parts=parts or USUAL_PARTS, **options)


def test_all_parts_of_a_real_job(fleet: Fleet) -> None:
    told: list[str] = []
    found = diagnose_job(fleet, "prod/backlog-job", parts=PARTS, report_progress=told.append)
    assert list(found.parts) == list(PARTS)
    assert told[:2] == ["failures", "back pressure"]
    assert not [part for part in found.parts.values() if part.unread]
    ids = {name: [finding.id for finding in part.findings] for name, part in found.parts.items()}
    assert ids["back-pressure"] == ["at-its-limit"]
    assert ids["checkpoints"] == ["checkpoint-start-delay"]
    assert ids["watermarks"] == ["watermarks-unknown"]
    assert ids["logs"] == ["log-error", "log-error"]
    slow = found.parts["checkpoints"].findings[0].reason
    assert slow.startswith("Subtask 0 of 'work' was the slowest of checkpoint 5: 30 s")
    (busy,) = found.parts["back-pressure"].findings
    assert "'work' is at its limit: its busiest subtask works 99% of its time" in busy.reason
    document = found.to_dict()
    assert (document["job"], document["state"]) == ("prod/backlog-job", "RUNNING")
    vertices = {vertex["name"]: vertex for vertex in document["parts"]["back-pressure"]["figures"]["vertices"]}
    assert [one["records"] for one in vertices["work"]["subtasks"]] == [18_776, 18_778, 18_777, 18_778]
    graph = found.parts["flame-graph"].graph
    assert graph is not None
    assert graph.root.samples == 300


def test_a_part_that_cannot_be_read_hides_no_other(fleet: Fleet, answers: Answers) -> None:
    answers.paths[f"{JOB}/exceptions"] = 500
    answers.paths[f"{TASK_MANAGER}/thread-dump"] = 404
    answers.paths["/jobmanager/log"] = 404
    found = look(fleet)
    assert found.parts["exceptions"].findings == ()
    assert "an error: 500" in found.parts["exceptions"].unread[0]
    assert f"{SESSION_TASK_MANAGER} has gone" in found.parts["threads"].unread[0]
    assert [report["process"] for report in found.parts["threads"].figures] == [reading.JOB_MANAGER]
    assert [report["process"] for report in found.parts["logs"].figures] == [SESSION_TASK_MANAGER]
    assert "On Kubernetes logs may go to the console alone" in found.parts["logs"].unread[0]


def test_failures_are_grouped_with_those_of_other_tasks_at_the_same_time(fleet: Fleet, answers: Answers) -> None:
    one = {
        "exceptionName": "java.lang.IllegalStateException",
        "stacktrace": "java.lang.IllegalStateException: row 5\n\tat com.acme.A.b(A.java:1)\n",
        "timestamp": 1_795_420_871_000,
        "taskName": "work (1/2)#0 - execution #0",
        "endpoint": "host:1",
        "taskManagerId": "tm-1",
        "failureLabels": {},
    }
    other = {
        **one,
        "taskName": "work (2/2)#0 - execution #0",
        "stacktrace": one["stacktrace"].replace("row 5", "row 6"),
    }
    old = {"exceptionName": "x.Y", "stacktrace": "x.Y: lost", "timestamp": 5, "location": "host:1"}  # as 1.18 has it
    answers.paths[f"{JOB}/exceptions"] = lambda parameters: {
        "root-exception": "...",
        "exceptionHistory": {
            "entries": [{**one, "concurrentExceptions": [other]}, old][: int(parameters["maxExceptions"])],
            "truncated": True,
        },
    }
    groups = look(fleet, "exceptions").parts["exceptions"].figures
    assert [(group["cause"], group["count"]) for group in groups] == [
        ("java.lang.IllegalStateException", 1),
        ("x.Y", 1),
    ]
    assert (groups[0]["tasks"], groups[0]["places"]) == ({"work": 2}, {"tm-1": 2})


def test_a_source_that_holds_the_watermark(fleet: Fleet, answers: Answers) -> None:
    path = f"{JOB}/vertices/{SESSION_VERTICES[0]}/metrics"
    values = {
        "0.Source__backlog.currentOutputWatermark": "1795420800000",
        "1.Source__backlog.currentOutputWatermark": "1795424400000",
        "2.Source__backlog.currentOutputWatermark": "-9223372036854775808",
        "2.Source__backlog.split.p0.watermark.idleTimeMsPerSecond": "1000",
        "2.Source__backlog.split.p1.watermark.idleTimeMsPerSecond": "999",
    }
    answers.paths[path] = lambda p: [
        {"id": name} if "get" not in p else {"id": name, "value": value}
        for name, value in values.items()
        if name in p.get("get", name).split(",")
    ]
    report = look(fleet, "watermarks").parts["watermarks"]
    assert report.figures["holders"] == [{"vertex_id": SESSION_VERTICES[0], "subtask": 0}]
    assert [finding.id for finding in report.findings] == ["watermark-held", "sources-idle"]


def test_the_first_question_starts_a_flame_graph(fleet: Fleet, answers: Answers, clock: FakeClock) -> None:
    asked = []

    def answer(parameters: dict[str, str]) -> Any:
        asked.append(parameters["type"])
        return {"endTimestamp": -3} if len(asked) < 4 else session_file("vertex1_flamegraph_full")

    answers.paths[f"{JOB}/vertices/{SESSION_VERTICES[0]}/flamegraph"] = answer
    before = clock.monotonic()
    part = look(fleet, "flame-graph", flame_kind="off_cpu").parts["flame-graph"]
    assert asked == ["off_cpu"] * 4
    assert clock.monotonic() - before == pytest.approx(0.5 + 1 + 2)
    assert part.graph is not None
    assert part.graph.root.children[0].samples == 100


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"endTimestamp": -2}, "set rest.flamegraph.enabled: true"),
        (404, "set rest.flamegraph.enabled: true"),
        ({"endTimestamp": -1}, "does not run, so there is nothing to sample"),
        ({"endTimestamp": -3}, "had no samples of"),
        ({"endTimestamp": 5, "data": "x"}, "Cannot understand the answer"),
    ],
)
def test_no_flame_graph(fleet: Fleet, answers: Answers, clock: FakeClock, answer: Any, says: str) -> None:
    for vertex in SESSION_VERTICES:
        answers.paths[f"{JOB}/vertices/{vertex}/flamegraph"] = answer
    part = look(fleet, "flame-graph").parts["flame-graph"]
    assert part.graph is None
    assert says in part.unread[0]


def test_checkpoints_by_id_and_jobs_without_any(fleet: Fleet, answers: Answers) -> None:
    assert look(fleet, "checkpoints", checkpoint_id=5).parts["checkpoints"].figures["id"] == 5
    assert (
        "has no checkpoint 4 (any more)" in look(fleet, "checkpoints", checkpoint_id=4).parts["checkpoints"].unread[0]
    )
    answers.paths[f"{JOB}/checkpoints"] = 404
    assert look(fleet, "checkpoints").parts["checkpoints"].findings[0].id == "checkpoints-none"


def test_what_cannot_be_asked(fleet: Fleet, answers: Answers) -> None:
    with pytest.raises(UsageError, match=r"Unknown part 'skewness' of a diagnosis. There are: .* Did you mean skew\?"):
        look(fleet, "skewness")
    with pytest.raises(UsageError, match="Unknown kind of flame graph 'cpu'"):
        look(fleet, "flame-graph", flame_kind="cpu")
    with pytest.raises(NotFoundError, match="There is no job"):
        diagnose_job(fleet, "prod/other")
    answers.paths[JOB] = 404
    with pytest.raises(NotFoundError, match="has just gone"):
        look(fleet)


def test_a_log_is_read_from_its_end_and_not_at_any_size(rest: FlinkRest, answers: Answers) -> None:
    answers.paths["/jobmanager/log"] = b"x" * 300_000 + b"\n" + LOG
    tail = rest.tail("/jobmanager/log", keep_bytes=100, most_bytes=400_000)
    assert tail is not None
    assert (tail.content[-len(LOG) :], tail.size_bytes, tail.whole) == (LOG, 300_001 + len(LOG), False)
    with pytest.raises(ServiceError, match=r"is 293.0 KiB or more, and only files up to 1000 B are read through"):
        rest.tail("/jobmanager/log", keep_bytes=100, most_bytes=1000)
    assert rest.tail("/jobmanager/nothing", keep_bytes=100, most_bytes=1000) is None
    answers.paths["/jobmanager/log"] = 500
    with pytest.raises(ServiceError, match=r"answered GET .*/jobmanager/log with an error: 500"):
        rest.tail("/jobmanager/log", keep_bytes=100, most_bytes=1000)


# ------------------------------------------------------------------------------------------- async-profiler
FILE = "tm_ITIMER_2026-11-28_20_15_23.html"


def profiling(answers: Answers, *states: str) -> None:
    """Have the profiler run through states, one a look."""
    path = f"{TASK_MANAGER}/profiler"
    left = list(states)

    def runs(_: dict[str, str]) -> Any:
        state = (left.pop(0) if len(left) > 1 else left[0]) if answers.posted else ""
        run = {"status": state, "mode": "CPU", "triggerTime": 7, "duration": 3, "message": "so it is"}
        old = {"status": "FINISHED", "mode": "CPU", "triggerTime": 5, "outputFile": "old.html"}
        return {"profilingList": [{**run, "outputFile": FILE}, old] if state else [old]}

    answers.paths[path] = runs
    answers.paths[f"{path}/{FILE}"] = b"<html>flames</html>"


def test_a_run_of_the_profiler(rest: FlinkRest, answers: Answers, clock: FakeClock) -> None:
    profiling(answers, "RUNNING", "RUNNING", "FINISHED")
    run, content = run_profiler(rest, SESSION_TASK_MANAGER, mode="CPU", seconds=3)
    assert (run.file, content) == (FILE, b"<html>flames</html>")
    assert answers.posted == [(f"{TASK_MANAGER}/profiler", {"mode": "CPU", "duration": 3})]
    assert [one.triggered_ms for one in list_runs(rest, SESSION_TASK_MANAGER)] == [7, 5]


def test_runs_that_fail(rest: FlinkRest, answers: Answers, clock: FakeClock) -> None:
    with pytest.raises(NotReadyError, match=r"rest.profiling.enabled: true"):
        run_profiler(rest, SESSION_TASK_MANAGER)
    profiling(answers, "FAILED")
    with pytest.raises(AutostreamError, match=r"The profiler failed on task manager .*: so it is"):
        run_profiler(rest, SESSION_TASK_MANAGER)
    answers.posted.clear()
    profiling(answers, "RUNNING")
    with pytest.raises(TimedOutError, match="has not ended 60 s after its time"):
        run_profiler(rest, SESSION_TASK_MANAGER)
    for options, says in (({"mode": "GPU"}, "Unknown mode 'GPU'"), ({"seconds": 301}, "cannot run for 301 s")):
        with pytest.raises(UsageError, match=says):
            run_profiler(rest, SESSION_TASK_MANAGER, **options)  # type: ignore[arg-type]


def test_a_profiler_that_is_busy(rest: FlinkRest, answers: Answers) -> None:
    answers.paths[f"{TASK_MANAGER}/profiler"] = lambda _: Reply(
        400 if answers.posted else 200, {"errors": ["one runs already"]} if answers.posted else {"profilingList": []}
    )
    with pytest.raises(NotReadyError, match="only one run at a time is possible"):
        run_profiler(rest, SESSION_TASK_MANAGER)


def test_a_job_that_runs_nowhere_is_not_profiled(fleet: Fleet, answers: Answers) -> None:
    for vertex in SESSION_VERTICES:
        answers.paths[f"{JOB}/vertices/{vertex}/taskmanagers"] = {"taskmanagers": [{"taskmanager-id": "(unassigned)"}]}
    with pytest.raises(UsageError, match="No task manager runs tasks of prod/backlog-job"):
        profile_job(fleet, "prod/backlog-job")
