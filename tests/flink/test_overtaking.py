"""Which sinks leave files behind when checkpoints are unaligned."""

from dataclasses import replace

import pytest

from autostream.flink.iceberg_sinks import SinkWriter
from autostream.flink.overtaking import why_overtaken
from autostream.flink.progress import Life, Vertex, read_life
from autostream.watermark.recording.job_requests import discover_writers
from tests.flink.serving import Direct, recorded

IN_TIME, LATE_OR_LOST, LATE = "", "commits them late or loses them", "in Flink before 1.20.1"


def life(*vertices: Vertex, unaligned: bool | None = True, version: str = "2.1.3") -> Life:
    return Life("RUNNING", {}, {}, 0, None, 1, vertices=vertices, unaligned=unaligned, flink_version=version)


def why(of: Life, operator: str = "IcebergStreamWriter", vertex: str = "w") -> str | None:
    return why_overtaken(of, [SinkWriter(vertex, operator, 2, "")])


def flink_sink(exchange: str, *, prefix: str = "") -> tuple[Vertex, ...]:
    writer = Vertex("w", f"Source: rows -> {prefix}IcebergStreamWriter", 2)
    committer = f"{prefix}IcebergFilesCommitter -> {prefix}IcebergSink lake.db.a: Writer"
    return writer, Vertex("c", committer, 1, (("w", exchange),))


CHAINED = Vertex("w", "rows -> IcebergStreamWriter -> IcebergFilesCommitter -> IcebergSink lake.db.a: Writer", 1)
TWO_CHAINED = Vertex(
    "w",
    "rows -> (eu-IcebergStreamWriter -> eu-IcebergFilesCommitter, us-IcebergStreamWriter -> us-IcebergFilesCommitter)",
    1,
)
ONE_OF_TWO_CHAINED = Vertex(
    "w", "rows -> (eu-IcebergStreamWriter -> eu-IcebergFilesCommitter, us-IcebergStreamWriter)", 1
)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        pytest.param(life(*flink_sink("REBALANCE")), LATE_OR_LOST, id="parallel"),
        pytest.param(life(*flink_sink("HASH", prefix="eu-")), LATE_OR_LOST, id="by key, with a prefix"),
        pytest.param(life(*flink_sink("GLOBAL")), LATE_OR_LOST, id="global"),
        pytest.param(life(*flink_sink("")), LATE_OR_LOST, id="Flink does not say how"),
        pytest.param(life(flink_sink("FORWARD")[0]), LATE_OR_LOST, id="no committer is seen"),
        pytest.param(life(*flink_sink("REBALANCE"), unaligned=None), LATE_OR_LOST, id="Flink does not say whether"),
        pytest.param(life(*flink_sink("REBALANCE"), unaligned=False), IN_TIME, id="aligned"),
        pytest.param(life(*flink_sink("FORWARD")), IN_TIME, id="not chained, one to one"),
        pytest.param(life(*flink_sink("FORWARD"), version="1.13.6"), LATE_OR_LOST, id="one to one in an old version"),
        pytest.param(life(*flink_sink("FORWARD"), version=""), LATE_OR_LOST, id="one to one in an unknown version"),
        pytest.param(life(CHAINED), IN_TIME, id="chained"),
        pytest.param(life(CHAINED, version="1.13.6"), IN_TIME, id="chained in an old version"),
        pytest.param(life(TWO_CHAINED), IN_TIME, id="two chained"),
        pytest.param(life(ONE_OF_TWO_CHAINED), LATE_OR_LOST, id="one of two chained"),
        pytest.param(life(), None, id="another graph"),
    ],
)
def test_flink_sink(of: Life, says: str | None) -> None:
    found = why(of)
    assert found == says if not says else says in (found or "")


def test_a_flink_sink_whose_name_is_cut_in_metrics() -> None:
    prefix = "lake.db.a__Writer-" * 5
    assert LATE_OR_LOST in (
        why(life(*flink_sink("REBALANCE", prefix=prefix)), f"{prefix}Iceb".replace(".", "_")[:80]) or ""
    )


@pytest.mark.parametrize(
    ("version", "says"),
    [
        *((version, IN_TIME) for version in ("1.20.1", "1.20.3", "2.0.0", "2.1.3", "2.3.0", "10.0.0")),
        *((version, LATE) for version in ("1.18.1", "1.19.3", "1.20.0", "1.20", "1.20-vvr-11.1", "1.20.0-amzn-0", "")),
        *((version, LATE) for version in ("2.0-preview1", "2.0.0-SNAPSHOT", "<unknown>", "DeadBeef")),
    ],
)
def test_iceberg_sink(version: str, says: str) -> None:
    writer = Vertex("w", "Source: rows -> lake.db.a: Writer", 2)
    aggregator = Vertex("a", "lake.db.a: Sink pre-commit aggregator: lake.db.a", 1, (("w", "GLOBAL"),))
    found = why(life(writer, aggregator, version=version), "lake_db_a__Writer")
    assert found == says if not says else says in (found or "")
    assert why(life(writer, aggregator, version=version, unaligned=False), "lake_db_a__Writer") == IN_TIME


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("running-v1", LATE_OR_LOST),
        ("running-v2", IN_TIME),
        ("chained-v1", IN_TIME),
        ("two-tables-v1", IN_TIME),
        ("two-tables-v2", IN_TIME),
    ],
)
def test_recorded_jobs(folder: str, says: str) -> None:
    answers, job_id = recorded(folder)
    rest = Direct(answers)
    answers.paths[f"/jobs/{job_id}/checkpoints/config"] = {"unaligned_checkpoints": True}
    seen, writers = read_life(rest, job_id), discover_writers(rest, job_id)
    assert seen is not None
    assert writers
    found = why_overtaken(seen, writers)
    assert found == says if not says else says in (found or "")
    assert why_overtaken(replace(seen, unaligned=False), writers) == IN_TIME


@pytest.mark.parametrize(
    ("config", "kinds", "unaligned"),
    [
        ({"unaligned_checkpoints": False}, ["CHECKPOINT", "SAVEPOINT"], False),
        ({"unaligned_checkpoints": False}, ["CHECKPOINT", "UNALIGNED_CHECKPOINT"], True),
        ({"unaligned_checkpoints": True, "aligned_checkpoint_timeout": 30_000}, ["CHECKPOINT"], True),
        ({}, ["CHECKPOINT"], None),
        ({"unaligned_checkpoints": None}, ["CHECKPOINT"], None),
        (404, ["CHECKPOINT"], None),
    ],
)
def test_whether_checkpoints_can_be_unaligned(config: object, kinds: list[str], unaligned: bool | None) -> None:
    answers, job_id = recorded("running-v1")
    path = f"/jobs/{job_id}/checkpoints"
    answers.paths[f"{path}/config"] = config
    answers.paths[path]["history"] = [{"id": 1, "checkpoint_type": kind} for kind in kinds]
    seen = read_life(Direct(answers), job_id)
    assert seen is not None
    assert seen.unaligned is unaligned
    assert seen.flink_version == ("" if unaligned is False else "2.1.3")


def test_a_life_with_other_settings_is_another_one() -> None:
    one = life(CHAINED)
    assert one.same_as(life(CHAINED))
    assert not one.same_as(life(CHAINED, unaligned=False))
    assert not one.same_as(life(*flink_sink("FORWARD")))
