"""Checkpoints taken apart: which subtask was slow, in which part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.checkpoint_anatomy import (
    CheckpointAnatomy,
    CheckpointInHistory,
    SubtaskCheckpoint,
    VertexCheckpoint,
    worth_a_look,
)
from autostream.findings import Severity


def subtask(index: int, **parts: int) -> SubtaskCheckpoint:
    given = {f"{name}_ms": ms for name, ms in parts.items() if name != "whole"}
    return SubtaskCheckpoint(index, acknowledged=True, duration_ms=parts.get("whole", sum(parts.values())), **given)


def anatomy(*subtasks: SubtaskCheckpoint, status: str = "COMPLETED", failure: str = "") -> CheckpointAnatomy:
    quick = VertexCheckpoint("a", "source", (subtask(0, start_delay=5),))
    return CheckpointAnatomy(7, status, 60_000, 1000, failure, (quick, VertexCheckpoint("b", "sum", subtasks)))


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("start_delay", "its barrier came so late"),
        ("alignment", "barriers of some inputs came long before"),
        ("synchronous", "the task stood still"),
        ("asynchronous", "state was written to the checkpoint storage"),
    ],
)
def test_each_part_has_its_words_and_its_remedy(part: str, words: str) -> None:
    (finding,) = anatomy(subtask(0, start_delay=10), subtask(1, **{"start_delay": 20, part: 9_000})).findings
    assert finding.severity == Severity.WARNING
    assert finding.id == f"checkpoint-{part.replace('_', '-')}"
    assert finding.reason.startswith("Subtask 1 of 'sum' was the slowest of checkpoint 7: 9 s")
    assert words in finding.reason
    assert finding.remedy
    assert finding.figures[f"{part}_ms"] >= 9_000


def test_time_that_no_part_explains() -> None:
    (finding,) = anatomy(subtask(0, start_delay=100, whole=8_000)).findings
    assert finding.id == "checkpoint-other"
    assert finding.figures["other_ms"] == 7_900


def test_a_quick_checkpoint_is_not_blamed() -> None:
    (finding,) = anatomy(subtask(0, start_delay=900)).findings
    assert (finding.id, finding.severity) == ("checkpoint-quick", Severity.OK)


def test_subtasks_that_have_not_acknowledged() -> None:
    pending = [SubtaskCheckpoint(index, acknowledged=False) for index in range(1, 8)]
    incomplete, slowest = anatomy(
        subtask(0, start_delay=3_000), *pending, status="FAILED", failure="Checkpoint expired before completing"
    ).findings
    assert incomplete.severity == Severity.ERROR
    assert incomplete.reason == (
        "Checkpoint 7 failed after 1 min: Checkpoint expired before completing. 'sum': 7 of 8 subtasks have not "
        "acknowledged it (1, 2, 3, 4, 5 ...)."
    )
    assert "Look at 'sum' first" in incomplete.remedy
    assert slowest.id == "checkpoint-start-delay"
    under_way = anatomy(*pending, status="IN_PROGRESS").findings[0]
    assert under_way.severity == Severity.INFO
    assert under_way.reason.startswith("Checkpoint 7 is under way after 1 min.")


def history(*entries: tuple[int, str, int]) -> list[CheckpointInHistory]:
    return [CheckpointInHistory(*entry) for entry in entries]


@pytest.mark.parametrize(
    ("entries", "chosen"),
    [
        ([], None),
        ([(3, "COMPLETED", 10), (2, "COMPLETED", 900), (1, "COMPLETED", 20)], 2),
        ([(3, "FAILED", 10), (2, "COMPLETED", 900)], 3),
        ([(3, "COMPLETED", 10), (2, "FAILED", 900)], 3),
        ([(4, "IN_PROGRESS", 50), (3, "COMPLETED", 10)], 4),
        ([(4, "IN_PROGRESS", 5), (3, "COMPLETED", 10)], 3),
        ([(4, "IN_PROGRESS", 5), (3, "FAILED", 10)], 4),
        ([(4, "IN_PROGRESS", 0)], 4),
    ],
)
def test_the_checkpoint_that_tells_most(entries: list[tuple[int, str, int]], chosen: int | None) -> None:
    found = worth_a_look(history(*entries))
    assert (found.checkpoint_id if found else None) == chosen
    again = worth_a_look(list(reversed(history(*entries))))
    assert (again.checkpoint_id if again else None) == chosen


@given(*[st.none() | st.integers(0, 10**6)] * 5)
def test_parts_add_up_to_the_whole(
    whole: int | None, delay: int | None, alignment: int | None, sync: int | None, asynchronous: int | None
) -> None:
    one = SubtaskCheckpoint(0, True, whole, delay, alignment, sync, asynchronous)
    assert sum(one.parts_ms.values()) == max(whole or 0, sum(filter(None, (delay, alignment, sync, asynchronous))))
    assert one.parts_ms[one.longest_part] == max(one.parts_ms.values())
