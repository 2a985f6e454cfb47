"""Two looks at a cluster, compared."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.flink.job_settings import TaskManagerSettings
from autostream.flink.metric_values import Aggregate
from autostream.names import JobName
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES
from autostream.telemetry.looks import ClusterLook, JobLook, TaskManagerLook, VertexLook
from autostream.telemetry.metric_names import CPU_TIME
from autostream.telemetry.samples import JobSample
from autostream.telemetry.sampling import compare

T0 = 1_795_860_000_000
JOB_START = T0 - 3_600_000
SECOND = 1_000_000_000  # nanoseconds
GC = "Status.JVM.GarbageCollector.All.Time"
ALLOTTED = TaskManagerSettings(
    cpu_cores=2.0,
    slots=4,
    process_memory_bytes=4096,
    heap_bytes=1024,
    network_bytes=64,
    off_heap_bytes=128,
)


def even(total: float, subtasks: int = 2) -> Aggregate:
    """A metric that is the same in each subtask."""
    return Aggregate(total / subtasks, total / subtasks, total / subtasks, total)


def vertex(seconds: float, *, name: str = "work", inputs: tuple[str, ...] = ("source",), **metrics: Any) -> VertexLook:
    """A vertex of two subtasks that are half busy, and have received 50 records a second each for so many seconds."""
    ms = seconds * 1000
    of_tasks = {
        "busyTimeMsPerSecond": Aggregate(400, 600, 500, 1000),
        "idleTimeMsPerSecond": Aggregate(300, 300, 300, 600),
        "backPressuredTimeMsPerSecond": Aggregate(100, 300, 200, 400),
        "accumulateBusyTimeMs": even(ms),
        "accumulateIdleTimeMs": even(ms * 0.6),
        "accumulateBackPressuredTimeMs": even(ms * 0.4),
        "numRecordsIn": even(seconds * 100),
        "numRecordsOut": even(seconds * 100),
        "numRecordsInPerSecond": Aggregate(30, 70, 50, 100),
    }
    known = {key: value for key, value in (of_tasks | metrics).items() if value is not None}
    return VertexLook(name, name, 2, inputs, known)


def source(seconds: float, **metrics: Any) -> VertexLook:
    counted = {"Source__source.numRecordsIn": even(seconds * 80), "Source__source.numRecordsOut": even(seconds * 100)}
    return vertex(seconds, name="source", inputs=(), **counted | metrics)


def job(seconds: float = 0, **fields: Any) -> JobLook:
    """A job that has run for an hour, and so many seconds."""
    metrics = {
        "numRestarts": 2.0,
        "uptime": 3_600_000 + seconds * 1000,
        "numberOfCompletedCheckpoints": 10 + seconds // 10,
        "numberOfFailedCheckpoints": 1.0,
        "lastCheckpointDuration": 250.0,
        "lastCheckpointSize": 4000.0,
    }
    known: dict[str, Any] = {
        "job": JobName("prod", "orders"),
        "job_id": "a" * 32,
        "state": "RUNNING",
        "started_ms": JOB_START,
        "running_since_ms": JOB_START,
        "metrics": metrics | fields.pop("metrics", {}),
        "vertices": (source(1000 + seconds), vertex(1000 + seconds)),
        "last_checkpoint_ms": T0 - 5000,
    }
    return JobLook(**known | fields)


def task_manager(seconds: float = 0, *, cores: float = 0.5, **fields: Any) -> TaskManagerLook:
    """A task manager whose process uses half a core."""
    metrics = {
        CPU_TIME: (1000 + seconds * cores) * SECOND,
        GC: 500 + seconds * 20,
        "Status.JVM.Memory.Heap.Used": 300.0,
        "Status.JVM.Memory.Heap.Max": 1000.0,
    }
    known: dict[str, Any] = {
        "task_manager_id": "tm1",
        "slots": 4,
        "settings": ALLOTTED,
        "slots_by_job": {"a" * 32: 2},
        "metrics": metrics,
    }
    return TaskManagerLook(**known | fields)


def look(
    seconds: float = 0, *, jobs: list[JobLook] | None = None, task_managers: list[TaskManagerLook] | None = None
) -> ClusterLook:
    found = [job(seconds)] if jobs is None else jobs
    processes = [task_manager(seconds)] if task_managers is None else task_managers
    return ClusterLook(
        T0 + int(seconds * 1000), {j.job_id: j for j in found}, {t.task_manager_id: t for t in processes}
    )


def sampled(*looks: ClusterLook, longest_ms: int = 150_000) -> list[JobSample]:
    """What follows from looks that follow each other."""
    samples: list[JobSample] = []
    before: ClusterLook | None = None
    for now in looks:
        more, before = compare(before, now, longest_ms=longest_ms)
        samples += more
    return samples


def test_counters_become_rates_and_gauges_stay() -> None:
    (sample,) = sampled(look(0), look(60))

    assert (sample.from_ms, sample.at_ms, sample.state, sample.shared) == (T0, T0 + 60_000, "RUNNING", False)
    assert sample.figures == pytest.approx(
        {
            "cpu_cores_used": 0.5,
            "cpu_cores": 2,
            "heap_used_bytes": 300,
            "heap_bytes": 1000,
            "direct_bytes": 192,
            "memory_bytes": 4096,
            "gc_share": 0.02,
            "gc_share_max": 0.02,
            "task_managers": 1,
            "slots": 4,
            "slots_used": 2,
            "busy_share_max": 0.6,
            "back_pressured_share_max": 0.3,
            "records_in_per_second": 100,
            "records_out_per_second": 100,
            "checkpoint_duration_ms": 250,
            "checkpoint_size_bytes": 4000,
            "checkpoint_age_ms": 65_000,
            "checkpoints_completed": 6,
            "checkpoints_failed": 0,
            "restarts": 0,
        }
    )
    assert sample.vertices[1].figures == pytest.approx(
        {
            "parallelism": 2,
            "busy_share": 0.5,
            "busy_share_max": 0.6,
            "busy_share_min": 0.4,
            "idle_share": 0.3,
            "back_pressured_share": 0.2,
            "back_pressured_share_max": 0.3,
            "records_in_per_second": 100,
            "records_in_per_second_max": 70,
            "records_out_per_second": 100,
        }
    )


def test_the_largest_metaspace_is_what_is_allotted_where_no_metric_tells_it() -> None:
    """Flink 1.18 tells -1."""
    given = ALLOTTED.model_copy(update={"metaspace_bytes": 777})
    silent = {"Status.JVM.Memory.Metaspace.Max": -1.0}
    processes = [
        replace(one, settings=given, metrics={**one.metrics, **silent}) for one in (task_manager(0), task_manager(60))
    ]

    (sample,) = sampled(look(0, task_managers=processes[:1]), look(60, task_managers=processes[1:]))

    assert sample.figures["metaspace_bytes"] == 777


def test_what_is_missing_is_said() -> None:
    (sample,) = sampled(look(0), look(60))

    for name in ("pending_records", "event_time_lag_ms", "watermark_lag_ms", "managed_used_bytes", "network_bytes"):
        assert name not in sample.figures
        assert sample.missing[name]
    assert "'source'" in sample.missing["pending_records"]


def test_the_first_look_and_the_first_after_a_gap_begin_intervals() -> None:
    looks = [look(0), look(60), look(400), look(460)]

    assert [s.at_ms - T0 for s in sampled(*looks)] == [60_000, 460_000]


def test_a_restart_is_counted_and_measures_nothing_else() -> None:
    restarted = {"metrics": {"numRestarts": 3.0, "uptime": 20_000.0}, "running_since_ms": T0 + 40_000}
    first = look(60, jobs=[job(60, **restarted)])
    again = {"metrics": {"numRestarts": 3.0, "uptime": 80_000.0}, "running_since_ms": T0 + 40_000}
    second = look(120, jobs=[job(120, **again)])

    broken, whole = sampled(look(0), first, second)

    assert broken.figures["restarts"] == 1
    assert "cpu_cores_used" not in broken.figures
    assert "records_in_per_second" not in broken.figures
    assert [set(v.figures) for v in broken.vertices] == [{"parallelism"}] * 2
    assert broken.missing["cpu_cores_used"] == "it has restarted"
    assert whole.figures["restarts"] == 0
    assert whole.figures["cpu_cores_used"] == pytest.approx(0.5)


def test_another_parallelism_that_was_asked_for_is_no_restart() -> None:
    """As on Flink 2.3, whose adaptive scheduler counts one restart and one rescaling."""
    metrics = {"numRestarts": 3.0, "numRescales": 1.0, "uptime": 20_000.0}
    rescaled = {"metrics": metrics, "running_since_ms": T0 + 40_000}
    before = look(0, jobs=[job(0, metrics={"numRestarts": 2.0, "numRescales": 0.0, "uptime": 60_000.0})])

    (broken,) = sampled(before, look(60, jobs=[job(60, **rescaled)]))

    assert broken.figures["restarts"] == 0
    assert "records_in_per_second" not in broken.figures


@pytest.mark.parametrize("change", [{"job_id": "b" * 32}, {"started_ms": JOB_START + 1}])
def test_another_life_under_the_same_name_begins_anew(change: dict[str, Any]) -> None:
    """The job was submitted again, or its cluster was started again under the same address."""
    assert sampled(look(0), look(60, jobs=[job(60, **change)])) == []


def test_a_job_that_does_not_run_is_seen_without_rates() -> None:
    (sample,) = sampled(look(0), look(60, jobs=[job(60, state="RESTARTING", running_since_ms=None, clock_offset_ms=7)]))

    assert sample.state == "RESTARTING"
    assert sample.figures["checkpoint_age_ms"] == 65_007
    assert sample.missing["cpu_cores_used"] == "the job is RESTARTING"
    assert not {"cpu_cores_used", "busy_share_max", "records_in_per_second"} & set(sample.figures)


def test_time_is_what_flink_says_went_by_between_its_collections() -> None:
    """The second answer is 12 seconds old: counters are of 48 seconds, not of 60."""
    (sample,) = sampled(look(0), replace(look(48), at_ms=T0 + 60_000))

    assert sample.figures["records_in_per_second"] == pytest.approx(100)
    assert sample.figures["cpu_cores_used"] == pytest.approx(0.5)


def test_tasks_tell_their_own_time_where_the_job_manager_was_asked_earlier() -> None:
    """Seen with Flink 2.1: task managers were asked 7 seconds after the look before, the job manager after 4."""
    late = (source(1000 + 7), vertex(1000 + 7))

    (sample,) = sampled(look(0), look(4, jobs=[job(4, vertices=late)]))

    assert sample.figures["records_in_per_second"] == pytest.approx(100)
    assert sample.vertices[1].figures["records_in_per_second"] == pytest.approx(100)


def test_stale_answers_measure_nothing_and_neither_does_the_first_after_them() -> None:
    """Flink has collected nothing between the first two looks, and twice as long until the third."""
    stale = replace(look(0), at_ms=T0 + 60_000)

    samples = sampled(look(0), stale, look(120), look(180))

    assert [s.figures.get("cpu_cores_used") for s in samples] == [None, None, pytest.approx(0.5)]
    assert [s.figures.get("records_in_per_second") for s in samples] == [None, None, pytest.approx(100)]


def test_a_vertex_whose_metrics_are_old_does_nothing_that_is_known() -> None:
    """The job manager's were collected, those of the task manager that runs the vertex were not: that is not zero."""
    (sample,) = sampled(look(0), look(60, jobs=[job(60, vertices=(source(1060), vertex(1000)))]))

    assert set(sample.vertices[1].figures) == {"parallelism"}
    assert sample.figures["records_in_per_second"] == pytest.approx(100)
    assert "records_out_per_second" not in sample.figures


def test_one_task_manager_whose_metrics_are_old_makes_the_figures_of_processes_unknown() -> None:
    other = task_manager(0, task_manager_id="tm2")
    later = [task_manager(120), task_manager(120, task_manager_id="tm2")]
    looks = [
        look(0, task_managers=[task_manager(), other]),
        look(60, task_managers=[task_manager(60), other]),
        look(120, task_managers=later),
    ]

    first, second = sampled(*looks)

    for sample in (first, second):
        assert "cpu_cores_used" not in sample.figures
        assert "not all of its task managers" in sample.missing["cpu_cores_used"]
    assert first.figures["records_in_per_second"] == pytest.approx(100)


def test_a_process_that_was_restarted_under_the_same_id_has_used_nothing_that_is_known() -> None:
    back = task_manager(60)
    back = replace(back, metrics={**back.metrics, CPU_TIME: 3.0 * SECOND, GC: 2.0})

    (sample,) = sampled(look(0), look(60, task_managers=[back]))

    assert not {"cpu_cores_used", "gc_share", "gc_share_max"} & set(sample.figures)
    assert sample.figures["heap_used_bytes"] == 300


def test_shared_task_managers_are_shared_by_slots() -> None:
    slots = {"a" * 32: 1, "b" * 32: 2}
    other = {"job": JobName("prod", "users"), "job_id": "b" * 32}
    looks = [
        look(s, jobs=[job(s), job(s, **other)], task_managers=[task_manager(s, slots_by_job=slots)]) for s in (0, 60)
    ]

    orders, users = sampled(*looks)

    assert orders.shared
    assert orders.figures["cpu_cores_used"] == pytest.approx(0.5 / 3, rel=1e-4)
    assert users.figures["cpu_cores_used"] == pytest.approx(1.0 / 3, rel=1e-4)
    assert (orders.figures["slots"], orders.figures["slots_used"]) == (pytest.approx(4 / 3, rel=1e-4), 1)
    assert orders.figures["gc_share"] == users.figures["gc_share"]  # of the process, whoever uses it
    assert orders.figures["memory_bytes"] + users.figures["memory_bytes"] == pytest.approx(4096, rel=1e-4)


def test_an_application_has_its_idle_task_managers_too() -> None:
    def at(seconds: int, *, dedicated: bool) -> ClusterLook:
        idle = task_manager(seconds, task_manager_id="tm2", slots_by_job={})
        return look(seconds, jobs=[job(seconds, dedicated=dedicated)], task_managers=[task_manager(seconds), idle])

    (application,) = sampled(at(0, dedicated=True), at(60, dedicated=True))
    (session,) = sampled(at(0, dedicated=False), at(60, dedicated=False))

    assert (application.figures["task_managers"], application.figures["slots"]) == (2, 8)
    assert application.figures["cpu_cores_used"] == pytest.approx(1.0)
    assert (session.figures["task_managers"], session.figures["slots"]) == (1, 4)


def test_where_nobody_tells_who_occupies_the_slots_nothing_is_said_of_processes() -> None:
    looks = [look(s, task_managers=[task_manager(s, slots_by_job=None)]) for s in (0, 60)]

    (sample,) = sampled(*looks)

    assert "cpu_cores" not in sample.figures
    assert "did not tell on which task managers" in sample.missing["task_managers"]
    assert sample.figures["records_in_per_second"] == pytest.approx(100)


def test_sources_of_the_old_kind_tell_no_times_but_how_much_they_read() -> None:
    silent: dict[str, Any] = dict.fromkeys(("busyTimeMsPerSecond", "accumulateBusyTimeMs"))
    looks = [look(s, jobs=[job(s, vertices=(source(s + 9, **silent), vertex(s + 9)))]) for s in (0, 60)]

    (sample,) = sampled(*looks)

    assert "busy_share" not in sample.vertices[0].figures
    assert sample.vertices[0].figures["records_in_per_second"] == pytest.approx(100)
    assert sample.figures["busy_share_max"] == pytest.approx(0.6)


def lag(**metrics: Aggregate) -> JobSample:
    named = {f"Source__source.{name}": value for name, value in metrics.items()}
    looks = [look(s, jobs=[job(s, vertices=(source(s + 9, **named), vertex(s + 9)))]) for s in (0, 60)]
    return sampled(*looks)[0]


def test_lag_is_what_sources_tell_of_it() -> None:
    assert lag(pendingRecords=even(70)).figures["pending_records"] == 70
    kafka = {"KafkaSourceReader.KafkaConsumer.records-lag-max": even(30)}
    assert lag(**kafka).figures["pending_records"] == 30
    assert lag(currentFetchEventTimeLag=Aggregate(5, 900, 400, 800)).figures["event_time_lag_ms"] == 900
    assert "event_time_lag_ms" not in lag(currentEmitEventTimeLag=even(-2)).figures  # -1: no event time yet
    assert "pending_records" not in lag(pendingRecords=even(-2)).figures
    assert "pending_records" not in lag(pendingRecords=Aggregate(0, 0, 0, -1)).figures


def test_a_source_that_does_not_tell_its_lag_is_named_beside_one_that_does() -> None:
    def both(s: float) -> JobLook:
        silent = replace(source(s + 9), vertex_id="other", name="other")
        return job(s, vertices=(source(s + 9, **{"Source__source.pendingRecords": even(4)}), silent, vertex(s + 9)))

    (sample,) = sampled(look(0, jobs=[both(0)]), look(60, jobs=[both(60)]))

    assert sample.figures["pending_records"] == 4
    assert sample.missing["pending_records"] == "'other' tell no pendingRecords and are not counted"


def test_watermarks_are_compared_with_the_clock_of_the_job_manager() -> None:
    """It is ten minutes ahead of the collector's."""
    ahead = 600_000
    shown = JOB_START + ahead + 3_650_000

    def at(s: float) -> ClusterLook:
        part = vertex(s + 9, currentInputWatermark=Aggregate(shown, shown + 10, shown + 5, 2 * shown))
        return look(s, jobs=[job(s, vertices=(source(s + 9), part), running_since_ms=JOB_START + ahead)])

    (sample,) = sampled(at(0), at(60))

    assert sample.figures["watermark_lag_ms"] == 10_000


@pytest.mark.parametrize("none", [-(2.0**63), 2.0**63])
def test_before_the_first_watermark_and_after_the_last_there_is_no_lag(none: float) -> None:
    looks = [
        look(s, jobs=[job(s, vertices=(source(s + 9), vertex(s + 9, currentInputWatermark=even(2 * none))))])
        for s in (0, 60)
    ]

    assert "watermark_lag_ms" not in sampled(*looks)[0].figures


def test_records_are_received_by_writers_and_not_by_what_commits_them() -> None:
    def at(s: float, *, sent: bool) -> ClusterLook:
        counted = {"writer.numRecordsSend": even(s * 3), "writer.numRecordsIn": even(s * 40)} if sent else {}
        writer = vertex(s + 9, name="writer", **counted)
        committer = vertex((s + 9) / 100, name="Committer", inputs=("writer",))
        return look(s, jobs=[job(s, vertices=(source(s + 9), writer, committer))])

    for sent, expected in ((True, 40), (False, 100)):
        (sample,) = sampled(at(0, sent=sent), at(60, sent=sent))
        assert sample.figures["records_out_per_second"] == pytest.approx(expected)


# ------- whatever a cluster answers
ODD = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0.0, -1.0, 1e308, -(2.0**63)]))
METRICS = st.dictionaries(st.sampled_from([*job().metrics]), ODD)
PROCESS = st.dictionaries(st.sampled_from([*task_manager().metrics]), ODD)
NAMES = [*source(1).metrics, "Source__source.pendingRecords", "currentInputWatermark", "w.numRecordsSend"]
OF_VERTEX = st.dictionaries(st.sampled_from(NAMES), st.builds(Aggregate, ODD, ODD, ODD, ODD))
VERTICES = st.lists(
    st.builds(
        VertexLook,
        st.sampled_from(["v", "w"]),
        st.sampled_from(["a", "Committer"]),
        st.integers(0, 3),
        st.sampled_from([(), ("v",), ("w",)]),
        OF_VERTEX,
    ),
    max_size=2,
    unique_by=lambda v: v.vertex_id,
).map(tuple)
JOBS = st.builds(
    lambda fields: job(**fields),
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(["RUNNING", "RESTARTING"]),
            "metrics": METRICS,
            "vertices": VERTICES,
            "running_since_ms": st.none() | st.just(JOB_START),
            "dedicated": st.booleans(),
            "last_checkpoint_ms": st.none() | st.integers(0, 2**62),
        }
    ),
)
PROCESSES = st.lists(
    st.builds(
        TaskManagerLook,
        st.sampled_from(["tm1", "tm2"]),
        st.integers(0, 5),
        st.just(ALLOTTED) | st.just(TaskManagerSettings()),
        st.none() | st.dictionaries(st.sampled_from(["a" * 32, "b" * 32]), st.integers(0, 5)),
        PROCESS,
    ),
    max_size=2,
    unique_by=lambda t: t.task_manager_id,
)
LOOKS = st.lists(st.tuples(st.integers(-100, 500), st.lists(JOBS, max_size=1), PROCESSES), min_size=2, max_size=4)


@given(LOOKS)
def test_whatever_a_cluster_answers_figures_are_possible_and_intervals_do_not_overlap(
    answers: list[tuple[int, list[JobLook], list[TaskManagerLook]]],
) -> None:
    at_s, looks = 0, []
    for seconds, jobs, processes in answers:
        at_s += seconds
        looks.append(look(at_s, jobs=jobs, task_managers=processes))

    samples = sampled(*looks)

    for sample in samples:
        assert sample.from_ms < sample.at_ms
        assert set(sample.figures) <= set(JOB_FIGURES)
        for part, known in [(sample.figures, JOB_FIGURES), *((v.figures, VERTEX_FIGURES) for v in sample.vertices)]:
            assert set(part) <= set(known)
            for name, value in part.items():
                assert 0 <= value < float("inf"), name
                assert not name.endswith(("_share", "_share_max", "_share_min")) or value <= 1, name
        assert all(sample.missing.values())
    for one, other in pairwise(samples):
        assert one.at_ms <= other.from_ms or other.at_ms <= one.from_ms


@given(st.floats(0.1, 20), st.integers(20, 140), st.integers(0, 8), st.integers(1, 8))
def test_rates_are_right_whatever_the_interval_and_the_age_of_answers(
    cores: float, seconds: int, age: int, slots: int
) -> None:
    """Metrics are up to a few seconds old at each look; only Flink's own times tell by how much."""
    first = look(0, task_managers=[task_manager(0, cores=cores, slots_by_job={"a" * 32: slots})])
    second = look(seconds, task_managers=[task_manager(seconds, cores=cores, slots_by_job={"a" * 32: slots})])

    (sample,) = sampled(first, replace(second, at_ms=second.at_ms + age * 1000))

    assert sample.figures["cpu_cores_used"] == pytest.approx(cores, rel=1e-3)
    assert sample.figures["records_in_per_second"] == pytest.approx(100, rel=1e-3)
    assert sample.figures["slots_used"] == slots
