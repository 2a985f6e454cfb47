"""Figures from a real Prometheus server, which has metrics as Flink's reporter names them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from autostream.config import FlinkSettings, JobRule
from autostream.config.sections.telemetry import FigureQuery, PrometheusSettings, TelemetrySettings
from autostream.errors import ConfigurationError, ServiceError
from autostream.names import JobName
from autostream.store.database import Database
from autostream.telemetry.collecting import Collector
from autostream.telemetry.figures import JOB_FIGURES, VERTEX_FIGURES
from autostream.telemetry.log import TelemetryLog
from autostream.telemetry.prometheus import PrometheusSource
from autostream.telemetry.promql import JOB_QUERIES, VERTEX_QUERIES, filled
from autostream.telemetry.samples import JobSample
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at
from tests.support.json_server import Answers, served

MINUTES = 10
STEP = 15  # seconds between two scrapes


@dataclass(frozen=True)
class Series:
    """A metric that grows by so much a second."""

    name: str
    labels: dict[str, str]
    first: float
    growth: float = 0.0

    def lines(self, end_ms: int) -> Iterator[str]:
        text = ",".join(f'{key}="{value}"' for key, value in self.labels.items())
        for second in range(0, MINUTES * 60 + 1, STEP):
            at = end_ms / 1000 - MINUTES * 60 + second
            yield f"flink_{self.name}{{{text}}} {self.first + self.growth * second} {at:.3f}"


def of_job(job: str, task_manager: str) -> Iterator[Series]:
    labels = {"job_name": job, "job_id": job[0] * 32, "env": "prod"}
    for task, name, received in (("s1", "Source:_orders", 0.0), ("w2", "sink:_Writer", 100.0)):
        for subtask in range(2):
            of_task = labels | {
                "task_id": task,
                "task_name": name,
                "tm_id": task_manager,
                "subtask_index": str(subtask),
            }
            metric = "taskmanager_job_task_"
            yield Series(metric + "numRecordsIn", of_task, 7, received / 2)
            yield Series(metric + "numRecordsOut", of_task, 7, 50)
            yield Series(metric + "busyTimeMsPerSecond", of_task, 400 + 200 * subtask)
            yield Series(metric + "idleTimeMsPerSecond", of_task, 300)
            yield Series(metric + "backPressuredTimeMsPerSecond", of_task, 100)
            of_operator = of_task | {"operator_id": task, "operator_name": name}
            yield Series(metric + "operator_numRecordsIn", of_operator, 7, received / 2)
            yield Series(metric + "operator_numRecordsOut", of_operator, 7, 50)
            if received:
                yield Series(metric + "operator_numRecordsSend", of_operator, 0)
            else:
                yield Series(metric + "operator_pendingRecords", of_operator, 30)
    of_run = "jobmanager_job_"
    yield Series(of_run + "numRestarts", labels, 3)
    yield Series(of_run + "numberOfCompletedCheckpoints", labels, 10, 1 / 60)
    yield Series(of_run + "numberOfFailedCheckpoints", labels, 1)
    yield Series(of_run + "lastCheckpointDuration", labels, 250)
    yield Series(of_run + "lastCheckpointFullSize", labels, -1)


def of_process(task_manager: str) -> Iterator[Series]:
    labels = {"tm_id": task_manager, "env": "prod"}
    of_status = "taskmanager_Status_"
    yield Series(of_status + "JVM_CPU_Time", labels, 1e12, 0.5e9)
    yield Series(of_status + "JVM_GarbageCollector_All_Time", labels, 500, 20)
    yield Series(of_status + "JVM_Memory_Heap_Used", labels, 300e6)
    yield Series(of_status + "JVM_Memory_Heap_Max", labels, 1e9)


def metrics(end_ms: int) -> str:
    """Jobs `orders` and `users` share a task manager; `alone` has two of its own."""
    series = [*of_job("orders", "tm1"), *of_job("users", "tm1"), *of_job("alone", "tm2"), *of_process("tm1")]
    more = Series("taskmanager_job_task_numRecordsOut", {"job_name": "alone", "job_id": "a" * 32, "tm_id": "tm3"}, 0)
    series += [*of_process("tm2"), more, *of_process("tm3")]
    # The format wants all of one metric together.
    return "\n".join(line for one in sorted(series, key=lambda s: s.name) for line in one.lines(end_ms)) + "\n# EOF\n"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    from tests.support.services import prometheus

    with prometheus(metrics(FakeClock().ms)) as url:
        yield url


def source(url: str, *queries: FigureQuery, **settings: Any) -> PrometheusSource:
    return PrometheusSource(
        PrometheusSettings(name="prod", url=(url,), **settings),
        interval_seconds=60,
        queries=queries,
        rules=(JobRule(job="prod/orders", team="trade"),),
    )


def samples(url: str, *queries: FigureQuery, **settings: Any) -> dict[str, JobSample]:
    return {s.job.name: s for s in source(url, *queries, **settings).sweep(longest_ms=150_000).samples}


@pytest.mark.integration
@pytest.mark.xdist_group("prometheus")
class TestServer:
    def test_figures_are_those_of_the_metrics(self, server: str, clock: FakeClock) -> None:
        alone = samples(server)["alone"]

        assert (alone.from_ms, alone.at_ms, alone.job_id, alone.shared) == (
            clock.ms - 60_000,
            clock.ms,
            "a" * 32,
            False,
        )
        assert alone.figures == pytest.approx(
            {
                "cpu_cores_used": 1.0,  # two task managers
                "heap_used_bytes": 600e6,
                "heap_bytes": 2e9,
                "gc_share": 0.02,
                "gc_share_max": 0.02,
                "task_managers": 2,
                "busy_share_max": 0.6,
                "back_pressured_share_max": 0.1,
                "records_in_per_second": 100,
                "records_out_per_second": 100,
                "pending_records": 60,
                "checkpoint_duration_ms": 250,
                "checkpoints_completed": 1,
                "checkpoints_failed": 0,
                "restarts": 0,
            },
            rel=1e-3,
        )
        assert set(alone.figures) | set(alone.missing) == set(JOB_FIGURES)

    def test_a_shared_task_manager_is_shared(self, server: str, clock: FakeClock) -> None:
        found = samples(server)

        assert {name: sample.shared for name, sample in found.items()} == {
            "alone": False,
            "orders": True,
            "users": True,
        }
        assert found["orders"].figures["cpu_cores_used"] == pytest.approx(0.25)
        assert found["orders"].figures["gc_share"] == pytest.approx(0.02)

    def test_vertices_have_figures_too(self, server: str, clock: FakeClock) -> None:
        first, second = samples(server)["orders"].vertices

        assert (first.vertex_id, first.name, second.name) == ("s1", "Source:_orders", "sink:_Writer")
        assert second.figures == pytest.approx(
            {
                "parallelism": 2,
                "busy_share": 0.5,
                "busy_share_max": 0.6,
                "busy_share_min": 0.4,
                "idle_share": 0.3,
                "back_pressured_share": 0.1,
                "back_pressured_share_max": 0.1,
                "records_in_per_second": 100,
                "records_in_per_second_max": 50,
                "records_out_per_second": 100,
            },
            rel=1e-3,
        )

    def test_queries_of_the_configuration_replace_ours(self, server: str, clock: FakeClock) -> None:
        slots = FigureQuery(figure="slots", query="sum by ($job) (flink_jobmanager_job_numRestarts{$selector}) * 2")
        none = FigureQuery(figure="heap_bytes", query="")
        found = samples(server, slots, none, selector='env="prod"')["orders"]

        assert found.figures["slots"] == 6
        assert "heap_bytes" not in found.figures
        assert samples(server, selector='env="test"') == {}

    def test_a_query_that_is_refused_costs_its_figure_only(self, server: str, clock: FakeClock) -> None:
        sweep = source(server, FigureQuery(figure="slots", query="sum by (")).sweep(longest_ms=1)

        assert len(sweep.samples) == 3
        assert "the query of slots is refused" in sweep.problems[0]
        assert "parse error" in sweep.problems[0]

    def test_every_query_is_understood(self, server: str, clock: FakeClock) -> None:
        assert source(server).sweep(longest_ms=1).problems == ()

    def test_the_service_samples_it_as_it_samples_clusters(
        self, server: str, clock: FakeClock, database: Database
    ) -> None:
        telemetry = TelemetrySettings(prometheus=(PrometheusSettings(name="prod", url=(server,)),))
        collector = Collector(FlinkSettings(), telemetry, database)
        collector.step()
        collector.step()  # at the same instant: nothing is sampled twice

        with database.read() as connection:
            log = TelemetryLog(connection)
            (sample,) = log.samples(JobName("prod", "orders"), since_ms=0)
            assert [record.state for record in log.records()] == ["RUNNING"] * 3
        assert sample.figures["cpu_cores_used"] == pytest.approx(0.25)
        assert [(tally.looks, tally.samples) for tally in collector.tallies] == [(2, 3)]


def test_what_is_no_answer_of_prometheus_is_refused(clock: FakeClock) -> None:
    with served(Answers({"/api/v1/query": {"data": {"result": "none"}}})) as url, pytest.raises(ServiceError) as error:
        source(url).sweep(longest_ms=1)

    assert "Check that `url` of Prometheus server prod" in str(error.value)


def test_numbers_that_are_none_and_series_without_labels_are_left_out(clock: FakeClock) -> None:
    def answer(parameters: dict[str, str]) -> Any:
        labels = {"job_name": "a", "job_id": "1"}
        value = "NaN" if "CPU" in parameters["query"] else "-3" if "Heap_Max" in parameters["query"] else "2"
        one = [{"metric": labels, "value": [1, value]}, {"metric": {}, "value": [1, "9"]}]
        return {"status": "success", "data": {"resultType": "vector", "result": one}}

    with served(Answers({"/api/v1/query": answer})) as url:
        (sample,) = source(url).sweep(longest_ms=1).samples

    assert sample.figures["heap_used_bytes"] == 2
    assert not {"cpu_cores_used", "heap_bytes"} & set(sample.figures)


def test_queries_are_for_figures_that_there_are() -> None:
    assert set(JOB_QUERIES) <= set(JOB_FIGURES)
    assert set(VERTEX_QUERIES) <= set(VERTEX_FIGURES)
    with pytest.raises(ConfigurationError, match=r"'slot' of a job, which there is not.* Did you mean slots\?"):
        source("http://127.0.0.1:1", FigureQuery(figure="slot", query="1"))


def test_nothing_is_left_to_fill_in() -> None:
    names = dict.fromkeys(("job", "vertex", "process", "selector", "window"), "x")

    assert not [q for q in (*JOB_QUERIES.values(), *VERTEX_QUERIES.values()) if "$" in filled(q, names=names)]


def test_a_cluster_and_a_server_cannot_have_one_name(database: Database) -> None:
    flink = FlinkSettings(clusters=(cluster_at("http://127.0.0.1:1"),))
    telemetry = TelemetrySettings(prometheus=(PrometheusSettings(name="prod", url=("http://127.0.0.1:2",)),))

    with pytest.raises(ConfigurationError, match="would be sampled twice"):
        Collector(flink, telemetry, database)
