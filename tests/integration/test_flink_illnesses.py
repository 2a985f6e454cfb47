"""Real Flink jobs, each with one illness: it gets the finding that names it and no other, and the fix removes it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from autostream.health.job_health import JobHealth
from autostream.sizes import MIB
from tests.support.flink_sessions import flink_session
from tests.support.judged_jobs import JudgedCluster, judged_cluster

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.xdist_group("java")]

CONFIG: Final = {
    "execution.checkpointing.interval": "5 s",
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "execution.checkpointing.tolerable-failed-checkpoints": "1000000",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "1000000",
    "restart-strategy.fixed-delay.delay": "200 ms",
    # Small buffers: what a slow operator has before it is done within seconds.
    "taskmanager.memory.segment-size": "4 kb",
}
LEAST_FREE_CORE: Final = 0.9
CLUSTERS: Final = (("2.3.0", "adaptive"), ("2.3.0", "default"), ("1.20.5", "default"))


class Illness(NamedTuple):
    """A job, what is found of it, and the arguments that its finding's fix stands for."""

    workload: dict[str, Any]
    finding: str
    fix: Callable[[JobHealth], dict[str, Any]]


def proposed_parallelism(health: JobHealth) -> dict[str, Any]:
    return {"par": health.findings[0].proposal["parallelism"]}


def without(**changes: Any) -> Callable[[JobHealth], dict[str, Any]]:
    """The fix is a change of the job's code, which its reason leads to."""
    return lambda health: changes


ILLNESSES: Final = {
    "over-provisioned": Illness(
        {"rate": 50, "wait": 2000, "par": 4}, "over-provisioned-parallelism", proposed_parallelism
    ),
    "io-bound": Illness({"rate": 380, "wait": 5000, "backlog": 8000}, "io-bound", proposed_parallelism),
    "cpu-bound": Illness({"rate": 230, "cpu": 4000}, "cpu-bound", proposed_parallelism),
    "skewed": Illness({"rate": 400, "wait": 5000, "par": 4, "hot": 50}, "skew", without(hot=0)),
    "restarting": Illness({"wait": 2000, "fail": 8}, "restarting", without(fail=0)),
    "checkpoints": Illness(
        {"rate": 50, "wait": 2000, "snapshot": 1500, "timeout": 600}, "checkpoints-failing", without(snapshot=0)
    ),
}
HEAP_OF_FRAMEWORK: Final = 96 * MIB


def free_core() -> float:
    """Return how much of a core a thread gets that computes for a second."""
    begun, used = time.monotonic(), time.process_time()
    while time.monotonic() < begun + 1:
        pass
    return (time.process_time() - used) / (time.monotonic() - begun)


@contextmanager
def sampled(version: str, scheduler: str, directory: Path, **options: Any) -> Iterator[JudgedCluster]:
    own = {"jobmanager.scheduler": scheduler, "execution.checkpointing.dir": f"file://{directory}"}
    with flink_session(version, config={**CONFIG, **own}, **options) as session:
        yield judged_cluster(session, directory)


@pytest.fixture(scope="module", params=CLUSTERS, ids="-".join)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedCluster]:
    version, scheduler = request.param
    with sampled(version, scheduler, tmp_path_factory.mktemp("flink")) as cluster:
        yield cluster


def is_found_and_removed(cluster: JudgedCluster, name: str) -> None:
    workload, finding, fix = ILLNESSES[name]
    with cluster.job(name, **workload):
        health = cluster.judged(name, finding)
    assert health.score != 100
    # What waited meanwhile has been read: catching up is another matter, and takes as long as it takes.
    with cluster.job(name, **workload | fix(health) | {"backlog": 0}):
        assert cluster.judged(name).score == 100


def test_a_job_that_waits_for_what_it_calls_is_found_and_its_fix_removes_it(tmp_path: Path) -> None:
    with sampled("2.3.0", "adaptive", tmp_path) as cluster:
        is_found_and_removed(cluster, "io-bound")


@pytest.mark.exhaustive
def test_a_healthy_job_has_no_finding(cluster: JudgedCluster) -> None:
    with cluster.job("healthy", rate=200, wait=5000, par=2):
        health = cluster.judged("healthy")
    assert health.score == 100
    assert "not known" not in health.unknown.lower()


@pytest.mark.exhaustive
@pytest.mark.parametrize("illness", ILLNESSES)
def test_an_illness_is_found_and_its_fix_removes_it(cluster: JudgedCluster, illness: str) -> None:
    if "cpu" in ILLNESSES[illness].workload and (free := free_core()) < LEAST_FREE_CORE:
        pytest.skip(f"this machine is busy: a thread that computes gets {free:.2f} cores, which looks like waiting")
    is_found_and_removed(cluster, illness)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("version", "scheduler"), CLUSTERS)
def test_a_heap_that_is_too_small_is_found_and_a_larger_one_removes_it(
    version: str, scheduler: str, tmp_path: Path
) -> None:
    workload = {"rate": 300, "garbage": 200_000, "held": 200}
    with sampled(version, scheduler, tmp_path / "small") as cluster, cluster.job("collecting", **workload):
        health = cluster.judged("collecting", "memory-too-small")
    assert health.proposal is not None
    heap = (health.proposal.target.heap_bytes or 0) - HEAP_OF_FRAMEWORK
    larger = sampled(version, scheduler, tmp_path / "large", task_heap_megabytes=heap // MIB)
    with larger as cluster, cluster.job("collecting", **workload):
        assert cluster.judged("collecting").score == 100
