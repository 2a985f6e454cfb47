"""A job's failures, grouped by their root cause. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from autostream.findings import Finding, Severity
from autostream.masking import mask
from autostream.spelling import counted
from autostream.times import describe_length, iso

_CAUSED_BY: Final = "Caused by: "
_FRAME: Final = re.compile(r"(?:\t| {1,4})at (?P<place>[^\s(]+\([^)]*\))")
# Where the cause was thrown says less than what of the job's own code was running: these are everybody's.
_NOT_THEIR_CODE: Final = re.compile(
    r"(?:[\w.@-]*/+)?(?:java|javax|jdk|sun|scala|org\.apache\.flink|akka|org\.apache\.pekko)\."
)
_LONGEST_MESSAGE: Final = 2000
_VARYING: Final = tuple(
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<id>"),
        (r"@[0-9a-f]{3,16}\b", "@<id>"),
        (r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{6,}(?:_[0-9a-fA-F]+)*\b", "<id>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<address>"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
        (r"(?<![A-Za-z])[-+]?\d+(?:[.,]\d+)*", "<n>"),
    )
)
_SUBTASK: Final = re.compile(r"\s*\(\d+/\d+\)(?:#\d+)?\s*(?:-.*)?$")


@dataclass(frozen=True)
class Cause:
    """One exception of a stack trace.

    Attributes:
        name: Class of the exception.
        message: What it says; secrets hidden.
        place: Where in the job's own code, or in that of its libraries, it was thrown; where at all, if it was not
            there.
    """

    name: str
    message: str
    place: str = ""

    @property
    def short_name(self) -> str:
        """The class without its package."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Failure:
    """One failure, as Flink remembers it.

    Attributes:
        at_ms: When, by the job manager's clock.
        stack_trace: As Java writes it.
        task: The task that failed, with its subtask; None where the job as a whole did.
        place: The task manager, where Flink tells.
    """

    at_ms: int
    stack_trace: str
    task: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class FailureGroup:
    """Failures that have one root cause.

    Attributes:
        cause: The innermost exception of the newest of them.
        pattern: Its message without what differs from failure to failure.
        at_ms: When they happened, the newest first.
        tasks: How often each task failed, without its subtask.
        places: How often on each task manager.
        stack_trace: All of the newest one's; secrets hidden.
    """

    cause: Cause
    pattern: str
    at_ms: tuple[int, ...]
    tasks: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)
    stack_trace: str = ""

    @property
    def count(self) -> int:
        """How many failures there were."""
        return len(self.at_ms)

    @property
    def finding(self) -> Finding:
        """Say what happened how often, and where."""
        times = f"{counted(self.count, 'time')}, last at {iso(self.at_ms[0])}"
        if self.count > 1:
            span_ms = self.at_ms[0] - self.at_ms[-1]
            times = f"{self.count} times within {describe_length(span_ms)}, last at {iso(self.at_ms[0])}"
        where = ", ".join(f"{name!r} ({count})" for name, count in _most(self.tasks)) or "the job as a whole"
        reason = f"{self.cause.short_name}: {self.cause.message or '(no message)'} It happened {times}, in {where}."
        if self.cause.place:
            reason += f" Thrown at {self.cause.place}."
        remedy = ""
        if len(self.places) == 1 and self.count > 2:
            remedy = f"All of them were on task manager {next(iter(self.places))}: look at its log and its machine."
        return Finding(
            self.cause.short_name,
            Severity.WARNING,
            reason,
            remedy,
            id="failure",
            figures={"failures": self.count},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "cause": self.cause.name,
            "message": self.cause.message,
            "pattern": self.pattern,
            "place": self.cause.place or None,
            "count": self.count,
            "first": iso(self.at_ms[-1]),
            "first_ms": self.at_ms[-1],
            "last": iso(self.at_ms[0]),
            "last_ms": self.at_ms[0],
            "at_ms": list(self.at_ms),
            "tasks": dict(self.tasks),
            "places": dict(self.places),
            "stack_trace": self.stack_trace,
        }


def group_failures(failures: Iterable[Failure]) -> tuple[FailureGroup, ...]:
    """Return failures grouped by their root cause, the group that happened last first.

    A failure that took several tasks with it at one time is given once for each of them: it counts once.
    """
    groups: defaultdict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        root = innermost_cause(failure.stack_trace)
        groups[root.name, without_varying(root.message)].append(failure)
    found = [_group(pattern, members) for (_, pattern), members in groups.items()]
    return tuple(sorted(found, key=lambda group: (-group.at_ms[0], group.cause.name, group.pattern)))


def innermost_cause(stack_trace: str) -> Cause:
    """Return the innermost exception of a stack trace: what its last `Caused by:` tells, at the outermost level.

    What was suppressed while resources were closed is indented, and is no cause.
    """
    return causes(stack_trace)[-1]


def causes(stack_trace: str) -> tuple[Cause, ...]:
    """Return the exceptions of a stack trace, the outermost first; at least one."""
    return tuple(_cause(section) for section in _sections(stack_trace))


def without_varying(text: str) -> str:
    """Return a message without what differs between two of its kind: ids, numbers, times and addresses."""
    for pattern, placeholder in _VARYING:
        text = pattern.sub(placeholder, text)
    return " ".join(text.split())


def without_subtask(task: str) -> str:
    """Return the name of a task without which of its subtasks it is: `map (3/8)` is a `map`."""
    return _SUBTASK.sub("", task)


def _sections(stack_trace: str) -> Iterator[list[str]]:
    section: list[str] = []
    for line in stack_trace.splitlines():
        if line.startswith(_CAUSED_BY) and section:
            yield section
            section = []
        section.append(line.removeprefix(_CAUSED_BY))
    yield section


def _cause(section: Sequence[str]) -> Cause:
    head = []
    for line in section:
        if line.startswith(("\tat ", "    at ", "\t... ", "\tSuppressed:", "  at ")):
            break
        head.append(line)
    name, _, message = "\n".join(head).partition(": ")
    if " " in name.strip() or not name.strip():  # no exception, but some text
        name, message = "", "\n".join(head)
    places = [match["place"] for line in section if (match := _FRAME.match(line))]
    own = next((place for place in places if not _NOT_THEIR_CODE.match(place)), None)
    text = mask(message.strip())
    return Cause(
        name=name.strip() or "(unknown)",
        message=text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…",
        place=own or next(iter(places), ""),
    )


def _group(pattern: str, members: Sequence[Failure]) -> FailureGroup:
    members = sorted(members, key=lambda failure: -failure.at_ms)
    tasks = Counter(without_subtask(failure.task) for failure in members if failure.task)
    places = Counter(failure.place for failure in members if failure.place)
    return FailureGroup(
        cause=innermost_cause(members[0].stack_trace),
        pattern=pattern,
        at_ms=tuple(sorted({failure.at_ms for failure in members}, reverse=True)),
        tasks=dict(_most(tasks)),
        places=dict(_most(places)),
        stack_trace=mask(members[0].stack_trace),
    )


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
