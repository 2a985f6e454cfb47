"""What holds of every job, whatever was measured of it."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autostream.flink.job_settings import JobSettings, TaskManagerSettings, VertexSettings
from autostream.health.causes import WASTE
from autostream.health.job_facts import JobFacts
from autostream.health.job_health import JobHealth
from autostream.health.job_view import JobView
from autostream.health.sizing import reserves_managed_memory
from autostream.sizes import GIB, MIB
from autostream.telemetry.figures import JOB_FIGURES
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.windows import JobWindow, Summary, VertexWindow
from tests.health.jobs import JOB, MINUTE_MS, START_MS, health, record

LOAD = {"io-bound", "cpu-bound", "saturated-operator", "lag-growing", "lag-high"}


def fixed(value: float) -> Summary:
    return Summary(value, value, value, value, value, START_MS, START_MS + 9 * MINUTE_MS, 10)


def summary(random: Random, low: float, high: float) -> Summary:
    """Two to ten samples of a figure, between which it grows, shrinks or stays."""
    least, middle, most = sorted(random.choice([low, high, random.uniform(low, high)]) for _ in range(3))
    first, last = random.choice([(least, most), (most, least), (middle, middle)])
    return Summary(middle, least, most, first, last, START_MS, START_MS + 9 * MINUTE_MS, random.randint(2, 10))


def vertex_window(random: Random, index: int, most: int, high: float) -> VertexWindow:
    parallelism, busy = random.randint(1, most), summary(random, 0, high)
    figures = {
        "parallelism": fixed(parallelism),
        "busy_share": busy,
        "busy_share_max": summary(random, busy.value, 1),
        "records_in_per_second": fixed(100.0),
        "records_in_per_second_max": summary(random, 100 / parallelism, 100),
    }
    return VertexWindow(f"v{index}", f"v{index}", figures)


def job_of(seed: int) -> tuple[JobWindow, JobRecord]:
    """A job that uses what it has, more or less; of some of it nothing may be known."""
    random = Random(seed)
    count, slots_each, gib = random.randint(1, 8), random.randint(1, 8), random.randint(1, 16)
    used = random.randint(1, count * slots_each)
    cores, heap = count * random.uniform(0.5, 8), count * gib * GIB / 2
    managed = random.choice([0, count * gib * GIB // 4])
    high = random.choice([0.05, 0.3, 1.0])  # jobs that are wasteful, and jobs that are not
    ranges = {
        "cpu_cores_used": (0, cores * high),
        "heap_used_bytes": (0, heap * high),
        "managed_used_bytes": (0 if random.random() < 0.7 else managed, managed),
        "metaspace_used_bytes": (0, 256 * MIB * count),
        "gc_share": (0, high / 4),
        "back_pressured_share_max": (0, high),
        "records_in_per_second": (random.choice([0, 1000]), 1e5),
        "pending_records": (0, 1e8 * random.choice([0, 1])),
        "event_time_lag_ms": (0, 1e8 * random.choice([0, 1])),
        "watermark_lag_ms": (0, 1e8),
        "checkpoint_age_ms": (0, 1e6),
        "checkpoint_duration_ms": (0, 1e5),
        "checkpoints_completed": (0, 20),
        "checkpoints_failed": (0, 20 * random.choice([0, 0, 1])),
    }
    sizes = {
        "cpu_cores": cores, "heap_bytes": heap, "managed_bytes": managed, "metaspace_bytes": 256 * MIB * count,
        "memory_bytes": count * gib * GIB, "task_managers": count, "slots": count * slots_each, "slots_used": used,
    }  # fmt: skip
    figures = {name: summary(random, *range_) for name, range_ in ranges.items()}
    figures["gc_share_max"] = summary(random, figures["gc_share"].value, high)
    vertices = [vertex_window(random, index, used, high) for index in range(random.randint(1, 3))]
    figures["busy_share_max"] = max((v.figures["busy_share_max"] for v in vertices), key=lambda busy: busy.value)
    figures |= {name: fixed(size) for name, size in sizes.items()}
    for name in random.sample(sorted(figures), random.choice([0, 0, 1, 4, len(figures)])):
        del figures[name]
    window = JobWindow(
        job=JOB,
        job_id="a1",
        from_ms=START_MS,
        to_ms=START_MS + 10 * MINUTE_MS,
        covered_ms=random.randint(MINUTE_MS, 10 * MINUTE_MS),
        samples=random.randint(1, 10),
        state="RUNNING",
        shared=random.random() < 0.2,
        figures=figures,
        vertices=tuple(
            replace(v, figures={name: v.figures[name] for name in v.figures if random.random() < 0.95})
            for v in vertices
        ),
        restarts=random.choice([0, 0, 0, random.randint(0, 6)]),
    )
    its = JobSettings(
        deployment=random.choice([None, "session", "application", "kubernetes"]),
        checkpointing=random.choice([None, True, False]),
        checkpoint_interval_ms=random.choice([None, 60_000]),
        checkpoints_retained=random.choice([None, True, False]),
        tolerable_failed_checkpoints=random.choice([None, 0, 3]),
        state_backend=random.choice([None, "hashmap", "rocksdb"]),
        vertices=(VertexSettings(vertex_id="v0", name="v0", parallelism=used, max_parallelism=128),),
        task_manager=TaskManagerSettings(slots=slots_each, cpu_cores_are_slots=random.random() < 0.5),
    )
    return window, record(random.choice(["RUNNING"] * 8 + ["RESTARTING", "FAILED"]), settings=its)


JOBS = st.integers(0, 2**40).map(job_of)


def judged(job: tuple[JobWindow, JobRecord]) -> JobHealth:
    return health(job[0], job[1])


@given(JOBS)
def test_a_score_is_100_less_all_deductions(job: tuple[JobWindow, JobRecord]) -> None:
    found = judged(job)
    if found.score is None:
        assert found.window is None or not found.window.figures
        return
    assert 0 <= found.score <= 100
    assert found.score == max(0, round(100 - math.fsum(finding.deduction for finding in found.findings)))
    assert 0 <= found.confidence <= 1
    assert all(finding.deduction >= 0 and finding.reason for finding in found.findings)


@given(JOBS, st.data())
def test_what_is_not_known_never_lowers_the_score(job: tuple[JobWindow, JobRecord], data: st.DataObject) -> None:
    window, known = job
    before = judged(job)
    fewer, vertices = dict(window.figures), list(window.vertices)
    for name in data.draw(st.sets(st.sampled_from(sorted(JOB_FIGURES)), min_size=1, max_size=4)):
        fewer.pop(name, None)
    if data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(vertices) - 1))
        gone = data.draw(st.sampled_from(["busy_share", "busy_share_max", "records_in_per_second_max"]))
        rest = {name: value for name, value in vertices[index].figures.items() if name != gone}
        vertices[index] = replace(vertices[index], figures=rest)
    after = judged((replace(window, figures=fewer, vertices=tuple(vertices)), known))
    assert after.confidence <= before.confidence
    if before.score is not None and after.score is not None:
        assert after.score >= before.score


# From where more is worse: below that, less is worse too, since it is asked for in vain.
MORE_IS_WORSE = [
    ("gc_share", 0.06, 1.0),
    ("cpu_cores_used", 0.71, 1.2),
    ("back_pressured_share_max", 0.0, 1.0),
    ("checkpoint_age_ms", 0.0, 1e8),
    ("checkpoints_failed", 0.0, 100.0),
    ("event_time_lag_ms", 0.0, 1e8),
]


@pytest.mark.parametrize(("name", "low", "high"), MORE_IS_WORSE)
@given(job=JOBS, data=st.data())
@settings(max_examples=100)
def test_what_is_worse_costs_no_less(
    name: str, low: float, high: float, job: tuple[JobWindow, JobRecord], data: st.DataObject
) -> None:
    window, known = job
    scale = window.figures["cpu_cores"].value if name == "cpu_cores_used" and "cpu_cores" in window.figures else 1.0
    less, more = sorted(data.draw(st.lists(st.floats(low, high), min_size=2, max_size=2)))
    some, all_ = (
        judged((replace(window, figures={**window.figures, name: fixed(value * scale)}), known))
        for value in (less, more)
    )
    assert some.score is not None
    assert all_.score is not None
    assert all_.score <= some.score


@given(JOBS, st.data())
def test_busier_is_worse_from_where_it_is_aimed_at(job: tuple[JobWindow, JobRecord], data: st.DataObject) -> None:
    window, known = job
    less, more = sorted(data.draw(st.lists(st.floats(0.71, 1), min_size=2, max_size=2)))
    scores = []
    for busy in (less, more):
        vertices = [
            replace(v, figures={**v.figures, "busy_share": fixed(0.7), "busy_share_max": fixed(busy)})
            for v in window.vertices
        ]
        figures = {**window.figures, "busy_share_max": fixed(busy)}
        scores.append(judged((replace(window, vertices=tuple(vertices), figures=figures), known)).score or 0)
    assert scores[1] <= scores[0]


@given(JOBS, st.integers(0, 9), st.integers(0, 9))
def test_more_restarts_are_worse(job: tuple[JobWindow, JobRecord], one: int, other: int) -> None:
    less, more = sorted((one, other))
    some, all_ = (judged((replace(job[0], restarts=count), job[1])).score for count in (less, more))
    assert some is None or all_ is None or all_ <= some


@given(JOBS, st.data())
def test_the_less_cpu_is_used_the_worse(job: tuple[JobWindow, JobRecord], data: st.DataObject) -> None:
    window, known = job
    cores = window.figures.get("cpu_cores", fixed(4.0)).value
    less, more = sorted(data.draw(st.lists(st.floats(0, 0.3), min_size=2, max_size=2)))
    some, all_ = (
        judged((replace(window, figures={**window.figures, "cpu_cores_used": fixed(share * cores)}), known)).score or 0
        for share in (more, less)
    )
    assert all_ <= some


@given(JOBS, st.integers())
def test_no_order_matters(job: tuple[JobWindow, JobRecord], seed: int) -> None:
    window, known = job
    figures = list(window.figures.items())
    vertices = list(window.vertices)
    random = Random(seed)
    random.shuffle(figures)
    random.shuffle(vertices)
    before, after = judged(job), judged((replace(window, figures=dict(figures), vertices=tuple(vertices)), known))
    assert (before.score, before.confidence) == (after.score, after.confidence)
    assert {(f.id, f.deduction) for f in before.findings} == {(f.id, f.deduction) for f in after.findings}


@given(JOBS)
def test_one_cause_is_told_once(job: tuple[JobWindow, JobRecord]) -> None:
    found = [finding.id for finding in judged(job).findings]
    assert len(found) == len(set(found))
    load = LOAD.intersection(found)
    assert len(load - {"cpu-bound"}) <= 1
    if load:
        assert not WASTE.intersection(found) - {"memory-over-allotted"}
    if "no-input" in found:
        assert not WASTE.intersection(found)
    assert not {"memory-too-small", "memory-over-allotted"} <= set(found)


@given(JOBS)
def test_fixes_are_parts_of_one_proposal(job: tuple[JobWindow, JobRecord]) -> None:
    found = judged(job)
    sized = [finding for finding in found.findings if finding.proposal]
    assert len({str(finding.proposal) for finding in sized}) <= 1
    if found.proposal is None:
        assert not sized
        return
    now, then = found.proposal.current, found.proposal.target
    for finding in sized:
        assert all(getattr(then, name) == value for name, value in finding.proposal.items() if hasattr(then, name))
    for freed, had, has in (
        (math.fsum(f.frees.cpu_cores for f in sized), now.cpu_cores, then.cpu_cores),
        (sum(f.frees.memory_bytes for f in sized), now.memory_bytes, then.memory_bytes),
    ):
        if had is not None and has is not None and has <= had:
            assert freed == pytest.approx(had - has, abs=2)


@given(JOBS)
def test_nothing_is_proposed_below_what_was_used(job: tuple[JobWindow, JobRecord]) -> None:
    found = judged(job)
    if found.proposal is None:
        return
    now, then, view = found.proposal.current, found.proposal.target, JobView(*job)
    assert 1 <= then.parallelism <= max(128, now.parallelism)
    cores = view.figure("cpu_cores_used")
    if cores is not None and then.cpu_cores is not None and now.cpu_cores is not None:
        assert then.cpu_cores >= min(now.cpu_cores, cores.largest) - 1e-6
    for pool in ("heap", "managed"):
        used, size = view.figure(f"{pool}_used_bytes"), getattr(then, f"{pool}_bytes")
        if used is None or size is None or then.task_managers is None:
            continue
        if pool == "managed" and reserves_managed_memory(view):
            assert size == now.managed_bytes
            continue
        assert size * then.task_managers >= used.largest - 8
    for vertex in job[0].vertices:
        busy, subtasks = vertex.figures.get("busy_share_max"), vertex.figures.get("parallelism")
        if busy and subtasks and subtasks.value == now.parallelism:
            assert then.parallelism >= math.floor(busy.largest * subtasks.value + 1e-9)


@given(JOBS, st.sampled_from(["without_uid", "without_retries", "not_compacted"]))
def test_a_trap_costs_the_same_whatever_else_is_wrong(job: tuple[JobWindow, JobRecord], fact: str) -> None:
    facts = JobFacts(**{fact: ("x",)})  # type: ignore[arg-type]
    without, with_it = health(*job), health(*job, facts)
    assert len(with_it.findings) == len(without.findings) + 1
    if without.score is not None and with_it.score is not None:
        assert with_it.score == max(0, without.score - 4) or without.score == 0
