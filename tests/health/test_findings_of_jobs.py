"""Each illness has the finding that names it, and no other; its fix has the numbers of the one proposal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autostream.findings import Severity
from autostream.flink.job_settings import TaskManagerSettings, VertexSettings
from autostream.health.job_facts import JobFacts
from autostream.health.job_findings import JobFinding
from autostream.health.job_health import JobHealth, judge_job
from autostream.sizes import GIB, MIB
from tests.health.jobs import health, ids, record, settings, vertex, window


def only(judged: JobHealth) -> JobFinding:
    (finding,) = judged.findings
    return finding


def test_a_job_that_is_well_has_no_finding() -> None:
    judged = health()
    assert (judged.score, judged.confidence, judged.findings, judged.unknown) == (100, 1.0, (), "")
    assert judged.proposal is not None
    assert judged.proposal.target == judged.proposal.current


# ------- cannot keep up
def test_busy_without_cpu_is_io_bound() -> None:
    judged = health(window(vertex(busy_share=1.0), cpu_cores_used=0.03, cpu_cores=2.0, busy_share_max=1.0))
    finding = only(judged)
    assert finding.id == "io-bound"
    assert finding.severity is Severity.WARNING
    assert finding.proposal == {"parallelism": 3, "task_managers": 3, "cpu_cores": 3.0, "memory_bytes": 6 * GIB}
    assert finding.figures["busy"] == 1.0
    assert "map is busy for 100 % of the time, but it uses 0.03 cores of 2 cores" in finding.reason
    assert "Parallelism 2 → 3, task managers 2 → 3: takes 1 core, 2.0 GiB." in finding.remedy
    assert finding.frees.to_dict() == {"cpu_cores": 0.0, "memory_bytes": 0}


def test_lag_that_grows_without_cpu_is_io_bound_even_where_nothing_says_it_is_busy() -> None:
    """A source that waits for what it reads is not busy by its own account (FLINK-33306)."""
    seen = window(
        vertex(busy_share=0.2), cpu_cores_used=0.05, busy_share_max=0.2, pending_records=60_000,
        growing={"pending_records": 60_000},
    )  # fmt: skip
    judged = health(seen)
    assert ids(judged)[0] == "io-bound"
    assert "restarting" not in ids(judged)
    # Twice what is read now comes in, and what waits is to be read within half an hour: 2.37 / 0.7 x 2 subtasks.
    assert judged.proposal is not None
    assert judged.proposal.target.parallelism == 7


def test_cores_that_are_used_up_are_cpu_bound() -> None:
    finding = only(health(window(vertex(busy_share=0.99), cpu_cores_used=1.96, busy_share_max=0.99)))
    assert finding.id == "cpu-bound"
    assert finding.proposal["parallelism"] == 3


def test_threads_that_compute_in_their_slots_are_cpu_bound_where_other_slots_are_idle() -> None:
    seen = window(
        vertex(busy_share=1.0),
        cpu_cores_used=1.9,
        cpu_cores=8.0,
        slots=8,
        slots_used=2,
        task_managers=1,
        busy_share_max=1,
    )
    its = settings(
        deployment="session", task_manager=TaskManagerSettings(cpu_cores=8, cpu_cores_are_slots=True, slots=8)
    )
    finding = only(health(seen, record(settings=its)))
    assert finding.id == "cpu-bound"
    assert finding.proposal == {"parallelism": 3}


def test_one_operator_at_its_limit_is_saturated_while_cpu_is_left() -> None:
    seen = window(
        vertex("Source: rows", busy_share=0.3, parallelism=4.0, back_pressured_share_max=0.6),
        vertex("score", busy_share=1.0, parallelism=1.0),
        cpu_cores_used=1.4, cpu_cores=4.0, slots=4, slots_used=4, task_managers=4, busy_share_max=1.0,
        back_pressured_share_max=0.6, memory_bytes=8 * GIB,
    )  # fmt: skip
    finding = only(health(seen, record(parallelism=4)))
    assert finding.id == "saturated-operator"
    assert finding.proposal == {"vertex_parallelism": {"score": 2}}
    assert finding.remedy == "Parallelism of score 1 → 2."


def test_uneven_subtasks_are_skew_and_nothing_else() -> None:
    seen = window(
        vertex("by key", parallelism=4.0, busy_share=0.3, busy_share_max=1.0, records_in_per_second=1000.0,
               records_in_per_second_max=850.0),
        cpu_cores_used=0.3, busy_share_max=1.0, pending_records=90_000, growing={"pending_records": 30_000},
    )  # fmt: skip
    judged = health(seen)
    finding = only(judged)
    assert finding.id == "skew"
    assert "One of the 4 subtasks of by key receives 3.4 times the mean" in finding.reason
    assert finding.proposal == {}


def test_uneven_subtasks_that_have_time_left_are_no_finding() -> None:
    seen = window(
        vertex(busy_share=0.3, busy_share_max=0.5, records_in_per_second=1000, records_in_per_second_max=950.0),
        busy_share_max=0.5,
    )
    assert ids(health(seen)) == []


def test_lag_that_grows_for_no_reason_that_is_known() -> None:
    seen = window(pending_records=60_000, growing={"pending_records": 30_000}, without=("cpu_cores_used",))
    judged = health(seen)
    finding = only(judged)
    assert finding.id == "lag-growing"
    assert "500 more each second" in finding.reason
    assert finding.proposal["parallelism"] > 2


def test_of_two_lags_the_worse_one_counts() -> None:
    seen = window(event_time_lag_ms=600_000, growing={"event_time_lag_ms": 30_000}, without=("cpu_cores_used",))
    finding = only(health(seen))
    assert finding.id == "lag-growing"
    assert finding.reason == "It is 15 min behind, and 30 s more each minute."


def test_lag_that_shrinks_says_when_it_will_be_gone() -> None:
    seen = window(pending_records=900_000, growing={"pending_records": -30_000})
    finding = only(health(seen))
    assert finding.id == "lag-high"
    assert finding.remedy == "It catches up by itself in 20 min at its present pace: leave it."


def test_a_lag_that_is_not_known_is_said_and_costs_nothing() -> None:
    judged = health(window(without=("pending_records",), missing={"pending_records": "datagen does not report it"}))
    finding = only(judged)
    assert (finding.id, finding.severity, finding.deduction, judged.score) == ("lag-unknown", Severity.INFO, 0.0, 100)
    assert "datagen does not report it" in finding.reason
    assert judged.confidence == 0.8


# ------- memory
def test_much_garbage_collection_is_memory_too_small_whatever_else_follows() -> None:
    seen = window(vertex(busy_share=0.95), cpu_cores_used=1.9, gc_share=0.22, busy_share_max=0.95)
    finding = only(health(seen))
    assert finding.id == "memory-too-small"
    assert finding.proposal == {"memory_bytes": 6 * GIB}
    assert "heap of each task manager 1.0 GiB → 2.0 GiB" in finding.remedy


def test_full_metaspace_is_memory_too_small() -> None:
    finding = only(health(window(metaspace_used_bytes=500 * MIB)))
    assert finding.id == "memory-too-small"
    assert "taskmanager.memory.jvm-metaspace.size 256.0 MiB → 384.0 MiB" in finding.remedy


def test_memory_beyond_the_limit_of_the_container_is_said() -> None:
    finding = only(health(window(container_limit_bytes=3 * GIB)))
    assert "killed above 3.0 GiB" in finding.reason


def test_memory_that_is_not_used_is_given_back() -> None:
    seen = window(
        heap_bytes=6 * GIB, heap_used_bytes=1 * GIB, managed_bytes=4 * GIB, managed_used_bytes=0.0,
        memory_bytes=14 * GIB, gc_share=0.005,
    )  # fmt: skip
    finding = only(health(seen))
    assert finding.id == "memory-over-allotted"
    assert finding.severity is Severity.WARNING
    # 640 MiB of heap and no managed memory each: 7 GiB less 4.4 GiB each.
    assert finding.remedy.startswith(
        "taskmanager.memory.process.size 7.0 GiB → 2.6 GiB, heap of each task manager 3.0 GiB → 640.0 MiB, "
        "taskmanager.memory.managed.size 2.0 GiB → 0 B: frees 8.8 GiB."
    )
    assert finding.frees.memory_bytes == 14 * GIB - finding.proposal["memory_bytes"]


def test_managed_memory_that_a_state_backend_reserves_is_not_taken_away() -> None:
    seen = window(heap_bytes=6 * GIB, heap_used_bytes=1 * GIB, managed_bytes=4 * GIB, managed_used_bytes=4 * GIB,
                  memory_bytes=14 * GIB, gc_share=0.005)  # fmt: skip
    judged = health(seen, record(settings=settings(state_backend="rocksdb")))
    assert judged.proposal is not None
    assert judged.proposal.target.managed_bytes == 2 * GIB


# ------- waste
def wide(**changes: float) -> dict[str, float]:
    """Six task managers of four cores and four slots each."""
    usual = {
        "cpu_cores": 24.0, "cpu_cores_used": 10.0, "slots": 24, "slots_used": 24, "task_managers": 6,
        "memory_bytes": 48 * GIB, "heap_bytes": 18 * GIB, "heap_used_bytes": 9 * GIB,
    }  # fmt: skip
    return usual | changes


FOUR_SLOTS = settings(24, task_manager=TaskManagerSettings(cpu_cores=4.0, slots=4))


def test_idle_slots_are_task_managers_to_be_given_back() -> None:
    seen = window(vertex(parallelism=16.0), **wide(slots_used=16))
    finding = only(health(seen, record(settings=FOUR_SLOTS)))
    assert finding.id == "idle-slots"
    assert finding.reason == "8 of the 24 slots of its task managers are idle."
    assert finding.remedy == (
        "Task managers 6 → 4 at the same parallelism: frees 8 cores, 16.0 GiB; expected CPU use 62 %."
    )
    assert finding.frees.to_dict() == {"cpu_cores": 8.0, "memory_bytes": 16 * GIB}


def test_subtasks_that_are_hardly_busy_are_too_many() -> None:
    seen = window(
        vertex(parallelism=24.0, busy_share=0.1),
        **wide(cpu_cores_used=1.5, busy_share_max=0.1, heap_used_bytes=3 * GIB, gc_share=0.06),
    )
    judged = health(seen, record(settings=FOUR_SLOTS))
    finding = judged.findings[0]
    assert finding.id == "over-provisioned-parallelism"
    # 24 subtasks x 0.1 / 0.7 = 3.4; one task manager has four slots, but only 3 GiB of heap, of which 2.4 may be full.
    assert finding.proposal["parallelism"] == 4
    assert finding.proposal["task_managers"] == 2
    assert "Parallelism 24 → 4, task managers 6 → 2" in finding.remedy
    assert "cpu-over-allotted" not in ids(judged)


def test_a_session_cluster_gets_slots_back() -> None:
    its = settings(
        4, deployment="session", task_manager=TaskManagerSettings(cpu_cores=8, cpu_cores_are_slots=True, slots=8)
    )
    seen = window(vertex(parallelism=4.0, busy_share=0.05), slots=8, slots_used=4, task_managers=1, cpu_cores=8.0,
                  cpu_cores_used=0.3, busy_share_max=0.05)  # fmt: skip
    finding = only(health(seen, record(settings=its)))
    assert finding.id == "over-provisioned-parallelism"
    assert finding.remedy == "Parallelism 4 → 1: frees 3 cores, 1.5 GiB; expected CPU use 6.0 %."


def test_cores_that_are_not_used_by_a_job_that_needs_its_subtasks() -> None:
    its = settings(task_manager=TaskManagerSettings(cpu_cores=4.0, slots=1))
    finding = only(health(window(cpu_cores=8.0, cpu_cores_used=1.0), record(settings=its)))
    assert finding.id == "cpu-over-allotted"
    assert finding.remedy == "Cores of each task manager 4 → 1: frees 6 cores; expected CPU use 50 %."


def test_a_peak_is_carried_however_low_the_mean() -> None:
    its = settings(task_manager=TaskManagerSettings(cpu_cores=4.0, slots=1))
    seen = window(cpu_cores=8.0, cpu_cores_used=1.0)
    peak = replace(seen.figures["cpu_cores_used"], largest=5.0)
    finding = only(health(replace(seen, figures={**seen.figures, "cpu_cores_used": peak}), record(settings=its)))
    assert finding.remedy.startswith("Cores of each task manager 4 → 2.5: frees 3 cores")


def test_a_busy_job_is_not_told_that_its_cores_are_idle() -> None:
    its = settings(task_manager=TaskManagerSettings(cpu_cores=4.0, slots=1))
    seen = window(vertex(busy_share=1.0), cpu_cores=8.0, cpu_cores_used=0.1, busy_share_max=1.0)
    assert ids(health(seen, record(settings=its))) == ["io-bound"]


# ------- failures, input, watermarks
def test_restarts_explain_what_follows_from_them() -> None:
    seen = window(restarts=1, checkpoints_failed=1, pending_records=900_000, checkpoint_age_ms=900_000)
    finding = only(health(seen))
    assert finding.id == "restarting"
    assert finding.severity is Severity.ERROR
    assert "It restarted 10 times in the window." in finding.reason
    assert "failed checkpoints, lag, old checkpoint" in finding.reason


def test_a_job_that_restarts_again_and_again_is_busy_with_catching_up() -> None:
    """As on Flink 2.3, of which nothing but its restarts is known in the samples right after them."""
    seen = window(vertex(busy_share=0.9), restarts=1, busy_share_max=0.9, cpu_cores_used=0.02)
    assert only(health(seen)).id == "restarting"
    seen = window(restarts=1, without=("pending_records",), missing={"pending_records": "it has restarted"})
    assert only(health(seen)).id == "restarting"


def test_a_job_that_has_failed_scores_nothing_even_without_samples() -> None:
    judged = judge_job(record("FAILED"), None, now_ms=0, window_seconds=600)
    assert (judged.score, ids(judged)) == (0, ["restarting"])


def test_failing_checkpoints_explain_that_the_last_good_one_is_old() -> None:
    finding = only(health(window(checkpoints_completed=0, checkpoints_failed=1, checkpoint_age_ms=1_300_000)))
    assert finding.id == "checkpoints-failing"
    assert finding.reason == "10 of 10 checkpoints failed; the last good one is 21 min 40 s old."


def test_checkpoints_that_fail_more_often_than_is_tolerated_explain_restarts() -> None:
    its = settings(tolerable_failed_checkpoints=0)
    seen = window(restarts=1, checkpoints_completed=0, checkpoints_failed=1)
    assert ids(health(seen, record(settings=its))) == ["checkpoints-failing"]


def test_an_old_checkpoint_by_itself() -> None:
    assert only(health(window(checkpoint_age_ms=700_000, checkpoints_completed=0))).id == "checkpoint-too-old"


def test_no_checkpoint_yet_counts_from_what_was_seen() -> None:
    why = {"checkpoint_age_ms": "none has completed yet"}
    seen = window(without=("checkpoint_age_ms",), checkpoints_completed=0, missing=why)
    assert only(health(seen)).id == "checkpoint-too-old"


def test_no_input_explains_low_use() -> None:
    seen = window(
        vertex(busy_share=0.0), records_in_per_second=0, pending_records=0, cpu_cores_used=0.01, busy_share_max=0,
        gc_share=0,
    )  # fmt: skip
    finding = only(health(seen))
    assert finding.id == "no-input"
    assert "If nothing is to come, stop it: frees 2 cores, 4.0 GiB." in finding.remedy


def test_records_that_wait_are_no_lack_of_input() -> None:
    seen = window(records_in_per_second=0, pending_records=5000)
    assert "no-input" not in ids(health(seen))
    assert health(seen).score != 100


def test_a_watermark_that_stands_still_while_records_come_in() -> None:
    seen = window(vertex(watermark_lag_ms=1_200_000.0), watermark_lag_ms=600_000, growing={"watermark_lag_ms": 60_000})
    finding = only(health(seen))
    assert finding.id == "watermark-stalled"
    assert "before map" in finding.reason


def test_a_watermark_that_moves_is_no_finding_however_late() -> None:
    assert ids(health(window(watermark_lag_ms=9_000_000))) == []


@pytest.mark.parametrize(("name", "found"), [("GlobalWindowAggregate[3]", ["watermark-missing"]), ("map", [])])
def test_a_watermark_is_missed_only_where_it_is_needed(name: str, found: list[str]) -> None:
    assert ids(health(window(vertex(name), missing={"watermark_lag_ms": "no operator has one"}))) == found


# ------- traps
FLINK_SINK = (
    VertexSettings(vertex_id="w", name="rows -> IcebergStreamWriter", parallelism=2, max_parallelism=128),
    VertexSettings(vertex_id="c", name="IcebergFilesCommitter", parallelism=1, inputs=(("w", "REBALANCE"),)),
)


def test_a_sink_whose_files_cannot_be_overtaken_is_no_trap() -> None:
    aligned = {"unaligned_checkpoints": False, "flink_version": "2.1.3", "vertices": FLINK_SINK}
    unknown = {"unaligned_checkpoints": True, "flink_version": None, "vertices": FLINK_SINK}
    for changes in (aligned, unknown):
        assert ids(health(known=record(settings=settings(**changes)))) == []


@pytest.mark.parametrize(
    ("changes", "facts", "found"),
    [
        ({"checkpointing": False, "checkpoints_retained": False}, JobFacts(), "configuration-no-checkpoints"),
        ({"checkpoints_retained": False}, JobFacts(), "configuration-checkpoints-not-retained"),
        ({"restart_strategy": "none"}, JobFacts(), "configuration-no-restart"),
        (
            {"vertices": (VertexSettings(vertex_id="v", name="agg", parallelism=8, max_parallelism=12),)},
            JobFacts(),
            "configuration-max-parallelism",
        ),
        (
            {"unaligned_checkpoints": True, "flink_version": "2.1.3", "vertices": FLINK_SINK},
            JobFacts(),
            "configuration-unaligned-checkpoints",
        ),
        ({}, JobFacts(without_uid=("agg",)), "configuration-missing-uid"),
        ({}, JobFacts(without_retries=("lake.db.t",)), "configuration-sink-retries"),
        ({}, JobFacts(not_compacted=("lake.db.t",)), "configuration-not-compacted"),
    ],
)  # fmt: skip
def test_traps(changes: dict[str, object], facts: JobFacts, found: str) -> None:
    judged = health(known=record(settings=settings(**changes)), facts=facts)
    assert (ids(judged), judged.score) == ([found], 96)
    assert only(judged).remedy


def test_checkpoints_that_take_longer_than_their_interval() -> None:
    assert ids(health(window(checkpoint_duration_ms=90_000))) == ["configuration-checkpoint-interval"]


def test_checkpoints_are_late_behind_the_records_that_a_busy_operator_has_not_done() -> None:
    """As on Flink 2.3: its buffers hold thousands of records, before which the source is not back-pressured yet."""
    slow: dict[str, Any] = {"busy_share_max": 1.0, "cpu_cores_used": 0.03, "checkpoint_duration_ms": 76_000}
    late = {"checkpoint_age_ms": 700_000, "checkpoints_completed": 0}
    seen = window(vertex(busy_share=1.0), **slow, **late)
    assert only(health(seen, record(settings=settings(unaligned_checkpoints=False)))).id == "io-bound"
    overtaking = health(seen, record(settings=settings(unaligned_checkpoints=True)))
    assert set(ids(overtaking)) == {"io-bound", "checkpoint-too-old", "configuration-checkpoint-interval"}


# ------- unknown
def test_a_job_of_which_nothing_is_known_has_no_score() -> None:
    judged = judge_job(record(), None, now_ms=0, window_seconds=600)
    assert (judged.score, judged.confidence, judged.findings) == (None, 0.0, ())
    assert judged.unknown == "Nothing was measured in the window."


def test_old_samples_say_nothing() -> None:
    seen = window(vertex(busy_share=1.0), busy_share_max=1.0)
    judged = judge_job(record(), seen, now_ms=seen.to_ms + 301_000, window_seconds=600)
    assert (judged.score, judged.confidence, judged.findings) == (None, 0.0, ())
    assert "301 s old" in judged.unknown


def test_few_samples_lower_the_confidence_alone() -> None:
    judged = health(window(minutes=2))
    assert judged.score == 100
    assert judged.confidence < 0.2
    assert judged.unknown == "Samples cover 20 % of the window; there are only 2 samples."


def test_what_cannot_be_is_not_believed() -> None:
    seen = window(gc_share=float("nan"), cpu_cores_used=-5.0, busy_share_max=float("inf"))
    judged = health(seen)
    assert judged.score == 100
    assert judged.confidence < 1


def test_the_json_is_that_of_the_design() -> None:
    document = health(window(vertex(busy_share=1.0), cpu_cores_used=0.03, busy_share_max=1.0)).to_dict()
    (finding,) = document["findings"]
    assert document["job"] == "prod/orders-enrich"
    assert {"job", "job_id", "team", "score", "confidence", "window_seconds", "findings"} <= document.keys()
    assert list(finding) == ["id", "severity", "deduction", "figures", "reason", "fix", "proposal", "frees"]
    assert finding["figures"] == {"busy": 1.0, "cpu_cores_used": 0.03, "cpu_cores": 2}
