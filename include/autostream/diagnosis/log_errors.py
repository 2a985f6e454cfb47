"""The last errors and warnings of a log, from its end alone. Pure.

Records are known by Flink's own layout (`2026-11-28 19:57:50,123 ERROR logger [] - message`) and its like: a time, a
level, and the rest; lines without them belong to the record before. Secrets are hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autostream.diagnosis.failures import innermost_cause, without_varying
from autostream.findings import Finding, Severity
from autostream.masking import mask
from autostream.spelling import counted

_RECORD: Final = re.compile(
    r"\[?(?P<at>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)\]?\s+(?:\[[^\]]*\]\s+)?"
    r"\[?(?P<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\]?\s+(?P<rest>.*)"
)
_LOGGER: Final = re.compile(r"(?P<logger>[\w.$]+)\s+(?:\[[^\]]*\]\s+)?-\s+(?P<message>.*)")
_BAD: Final = {"ERROR": "ERROR", "FATAL": "ERROR", "WARN": "WARN", "WARNING": "WARN"}
_EXCEPTION: Final = re.compile(r"[\w.$]+(?:Exception|Error|Throwable)\b.*")
_LONGEST: Final = 300
# Two records of one logger whose messages begin alike are of one kind: what follows are details, such as a whole plan.
_ALIKE: Final = 100
_MOST_GROUPS: Final = 50


@dataclass(frozen=True)
class LogRecord:
    """One record of a log.

    Attributes:
        at: Its time as the log has it, in the time zone of its process.
        level: `ERROR`, `WARN`, `INFO` and so on.
        logger: Who wrote it; empty where that is not known.
        message: Its first line.
        stack_trace: The lines below it.
    """

    at: str
    level: str
    logger: str
    message: str
    stack_trace: str = ""


@dataclass(frozen=True)
class LogErrors:
    """Records of one kind.

    Attributes:
        level: `ERROR` or `WARN`.
        logger: Who wrote them.
        message: The newest one's message, and its root cause where it has a stack trace; secrets hidden.
        count: How many there are.
        first_at: When the first was written, as the log has it.
        last_at: When the last was.
        stack_trace: That of the newest; secrets hidden.
    """

    level: str
    logger: str
    message: str
    count: int
    first_at: str
    last_at: str
    stack_trace: str = ""


@dataclass(frozen=True)
class LogReport:
    """The end of one process's log.

    Attributes:
        process: Which process: the id of a task manager, or `job manager`.
        read_bytes: How much of it was read.
        whole: Whether that is all of it.
        records: How many records that is; 0 where its layout is not known.
        errors: Its errors and warnings, errors first, then the newest first.
    """

    process: str
    read_bytes: int
    whole: bool
    records: int
    errors: tuple[LogErrors, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Say what the errors are."""
        if not self.records and self.read_bytes:
            return (
                Finding(
                    self.process,
                    Severity.INFO,
                    f"The log of {self.process} has a layout that is not known: no line of it begins with a time and a "
                    "level.",
                    id="log-unknown",
                ),
            )
        if not self.errors:
            what = "its log" if self.whole else f"the last {counted(self.records, 'record')} of its log"
            told = f"There is no error and no warning in {what}."
            return (Finding(self.process, Severity.OK, told, id="log-clean"),)
        return tuple(
            Finding(
                self.process,
                Severity.ERROR if one.level == "ERROR" else Severity.WARNING,
                f"{one.level} {one.logger or '(no logger)'}: {one.message} ({counted(one.count, 'time')}, last at "
                f"{one.last_at}).",
                id="log-error" if one.level == "ERROR" else "log-warning",
                figures={"records": one.count},
            )
            for one in self.errors
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "process": self.process,
            "read_bytes": self.read_bytes,
            "whole": self.whole,
            "records": self.records,
            "errors": [vars(one) for one in self.errors],
        }


def read_log(process: str, tail: bytes, *, whole: bool) -> LogReport:
    """Return what the end of a log tells.

    Args:
        process: Which process it is of.
        tail: Its end.
        whole: Whether that is all of it; else its first line is a part of one, and left out.
    """
    text = tail.decode("utf-8", "replace")
    lines = text.splitlines()
    records = list(parse_records(lines if whole else lines[1:]))
    groups: dict[tuple[str, str, str], list[LogRecord]] = {}
    for record in records:
        if record.level in _BAD:
            key = (_BAD[record.level], record.logger, without_varying(_told(record))[:_ALIKE])
            groups.setdefault(key, []).append(record)
    newest = sorted(groups.items(), key=lambda item: item[1][-1].at, reverse=True)
    newest.sort(key=lambda item: item[0][0] != "ERROR")
    errors = tuple(_group(level, members) for (level, _, _), members in newest[:_MOST_GROUPS])
    return LogReport(process, len(tail), whole, len(records), errors)


def parse_records(lines: Sequence[str]) -> Iterator[LogRecord]:
    """Yield the records of a log; lines before the first one are left out."""
    head: LogRecord | None = None
    below: list[str] = []
    for line in lines:
        record = _record(line)
        if record is None:
            below.append(line)
            continue
        if head is not None:
            yield _with(head, below)
        head, below = record, []
    if head is not None:
        yield _with(head, below)


def _record(line: str) -> LogRecord | None:
    if line.startswith("{"):
        return _of_json(line)
    match = _RECORD.match(line)
    if match is None:
        return None
    logger = _LOGGER.match(match["rest"])
    if logger is None:
        return LogRecord(match["at"], match["level"], "", match["rest"].strip())
    return LogRecord(match["at"], match["level"], logger["logger"], logger["message"].strip())


def _of_json(line: str) -> LogRecord | None:
    """Return a record of a JSON layout: Log4j's own, or ECS."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    level = found.get("level") or found.get("log.level")
    message = found.get("message")
    if not isinstance(level, str) or not isinstance(message, str):
        return None
    at = next((str(found[key]) for key in ("@timestamp", "timestamp", "time", "instant") if key in found), "")
    logger = next((str(found[key]) for key in ("loggerName", "log.logger", "logger") if key in found), "")
    below = next((v for k in ("error.stack_trace", "stack_trace", "thrown") if isinstance(v := found.get(k), str)), "")
    return LogRecord(at, level.upper(), logger, message.partition("\n")[0], below)


def _with(head: LogRecord, below: Sequence[str]) -> LogRecord:
    return head if not below else LogRecord(head.at, head.level, head.logger, head.message, "\n".join(below))


def _told(record: LogRecord) -> str:
    """Return what a record says: its message, and the root cause of what is below it."""
    begun = next((n for n, line in enumerate(record.stack_trace.splitlines()) if _EXCEPTION.match(line)), None)
    if begun is None:
        return record.message
    cause = innermost_cause("\n".join(record.stack_trace.splitlines()[begun:]))
    said = f": {cause.message}" if cause.message else ""
    return f"{record.message} [{cause.short_name}{said}]"


def _group(level: str, members: Sequence[LogRecord]) -> LogErrors:
    newest = members[-1]
    told = mask(_told(newest))
    return LogErrors(
        level=level,
        logger=newest.logger,
        message=told if len(told) <= _LONGEST else told[:_LONGEST] + "…",
        count=len(members),
        first_at=members[0].at,
        last_at=newest.at,
        stack_trace=mask(newest.stack_trace),
    )
