"""Waiting until tables are complete: what a look at them comes to, and the loop for callers that may block.

`step` decides, and neither looks nor sleeps. Three drivers look, and go on as it says: `wait_until` here, for the
command line and the library; the sensor and the trigger of the Airflow face, whose pauses are Airflow's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from autostream import times
from autostream.errors import AutostreamError, TimedOutError
from autostream.watermark.conditions import Answer, Condition, judge
from autostream.watermark.marks import TableMark


@dataclass(frozen=True)
class MarkReading:
    """What was found when a table was looked at.

    Attributes:
        mark: How complete the table is; None where that could not be read.
        problem: Why it could not be read, in one line.
        refusal: The kind of error to end the wait by, where looking again will not help: the table does not exist, say.
    """

    mark: TableMark | None
    problem: str = ""
    refusal: type[AutostreamError] | None = None


class Outcome(StrEnum):
    """How a wait ends."""

    MET = "met"
    LATE = "late"
    """The time is up, and the condition is not met."""


@dataclass(frozen=True)
class Step:
    """What one look at the tables of a condition comes to.

    Attributes:
        answer: Whether the condition is met.
        explanation: The sentence that says why, with what kept tables from being read.
        news: Whether the explanation is worth telling: it is complete, and was not told before.
        outcome: How the wait ends; None where it goes on.
        pause_seconds: How long to wait before the next look.
    """

    answer: Answer
    explanation: str
    news: bool
    outcome: Outcome | None
    pause_seconds: float


def step(
    condition: Condition,
    readings: Mapping[str, MarkReading],
    *,
    told: str = "",
    left_seconds: float | None = None,
    poll_seconds: float = 5.0,
) -> Step:
    """Decide what follows from a look at the tables of a condition.

    Args:
        condition: What is waited for.
        readings: What was found, by table; a table that was not looked at yet is missing.
        told: The explanation that was told last.
        left_seconds: How much of the allowed time is left; None where any time is allowed.
        poll_seconds: The time between two looks.

    Raises:
        AutostreamError: Waiting makes no sense: the `refusal` of the first table that has one.
    """
    found = [readings[table] for table in condition.tables if table in readings]
    for reading in found:
        if reading.refusal is not None:
            raise reading.refusal(reading.problem)
    answer = judge(condition, {table: reading.mark for table, reading in readings.items() if reading.mark})
    problems = dict.fromkeys(reading.problem for reading in found if reading.problem)
    explanation = answer.explanation
    if problems and not answer.met:
        explanation = f"{explanation} ({'; '.join(problems)})"
    outcome = None
    if answer.met:
        outcome = Outcome.MET
    elif left_seconds is not None and left_seconds <= 0:
        outcome = Outcome.LATE
    return Step(
        answer=answer,
        explanation=explanation,
        news=len(found) == len(condition.tables) and explanation != told,
        outcome=outcome,
        pause_seconds=poll_seconds if left_seconds is None else max(0.0, min(poll_seconds, left_seconds)),
    )


def wait_until(
    condition: Condition,
    read: Callable[[str], MarkReading],
    *,
    timeout_seconds: float | None = None,
    poll_seconds: float = 5.0,
    report: Callable[[str], None] = lambda _: None,
) -> Step:
    """Look at tables until a condition is met or the time is up; return the last step, and see `require_met`.

    Args:
        condition: What is waited for.
        read: Looks at a table, such as `autostream.watermark.reading.mark_reader.MarkReader().read`.
        timeout_seconds: How long to wait at most; 0 looks once, None waits for ever.
        poll_seconds: The time between two looks.
        report: Gets the explanation each time that it changes.

    Raises:
        AutostreamError: Waiting makes no sense, as for a table that does not exist.
    """
    began = times.monotonic()
    told = ""
    while True:
        readings = {table: read(table) for table in condition.tables}
        left = None if timeout_seconds is None else began + timeout_seconds - times.monotonic()
        found = step(condition, readings, told=told, left_seconds=left, poll_seconds=poll_seconds)
        if found.outcome is Outcome.MET:
            return found
        if found.news:
            told = found.explanation
            report(told)
        if found.outcome is not None:
            return found
        times.sleep(found.pause_seconds)


def require_met(found: Step, *, timeout_seconds: float | None) -> Answer:
    """Return the answer of a wait that ended well.

    Raises:
        TimedOutError: The time was up first; says who is late.
    """
    if found.answer.met:
        return found.answer
    raise TimedOutError(f"Not complete within {timeout_seconds or 0:g} s: {found.explanation}")
