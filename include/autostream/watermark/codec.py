"""Watermarks as table properties: what they say, and how reports, retirements and resets change them. Pure.

| property | what it holds |
| --- | --- |
| ``autostream.watermark`` | the table's watermark, epoch ms |
| ``autostream.watermark.writer.NAME`` | a writer's, epoch ms; -9223372036854775808 (Flink's "none") before its first |
| ``autostream.watermark.writer-state.NAME`` | JSON: when it was recorded, of which job, its status where not active |
| ``autostream.watermark.reset`` | JSON: the last time that a watermark was set back, by whom and why |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from autostream.errors import ConflictError, UsageError
from autostream.times import FOREVER_MS, describe_instant, describe_length, iso
from autostream.watermark.marks import Source, Status, TableMark, WriterMark

PREFIX: Final = "autostream.watermark"
WATERMARK: Final = PREFIX
WRITER_PREFIX: Final = "autostream.watermark.writer."
STATE_PREFIX: Final = "autostream.watermark.writer-state."
RESET: Final = "autostream.watermark.reset"

NOT_YET_MS: Final = -(2**63)
"""What Flink calls the watermark of a stream that has none yet."""
_FLINK_FOREVER_MS: Final = 2**63 - 1
_EARLIEST_MS: Final = -62_135_596_800_000  # the year 1
_WHOLE_NUMBER: Final = re.compile("-?[0-9]{1,19}")
_MOST_NAME_CHARACTERS: Final = 128  # with the prefix below the 256 that a Hive Metastore takes


class Kind(StrEnum):
    """What happened to a watermark."""

    ADVANCE = "advance"
    JOIN = "join"
    RETIRE = "retire"
    RESET = "reset"


@dataclass(frozen=True)
class Report:
    """What is to be recorded of one writer.

    Attributes:
        writer: its name.
        watermark_ms: all its rows up to this are in the table; None: it writes to the table, but that is all one knows.
        job_id: the Flink job that it is.
        checkpoint_id: the checkpoint whose commit proves it.
        snapshot_id: that commit.
        note: why it does not advance.
        started_ms: since when the job runs; None where it is not known to run.
        forced: somebody insists on it, however far ahead of now it is.
    """

    writer: str
    watermark_ms: int | None
    job_id: str = ""
    checkpoint_id: int | None = None
    snapshot_id: int | None = None
    note: str = ""
    started_ms: int | None = None
    forced: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not be read back.

        Raises:
            UsageError: the name or the watermark cannot be recorded.
        """
        check_name(self.writer)
        if self.watermark_ms is not None and not _EARLIEST_MS <= self.watermark_ms <= FOREVER_MS:
            raise UsageError(
                f"Writer {self.writer}: {self.watermark_ms} is no watermark. It is epoch milliseconds, between "
                f"{_EARLIEST_MS} and {FOREVER_MS} (the end of the year 9999, for a writer that has ended)."
            )


@dataclass(frozen=True)
class Event:
    """One thing that happened to a watermark, for the history.

    Attributes:
        kind: what happened.
        writer: whose watermark; None: the table's.
        watermark_ms: what it is now; None where it is not known.
        at_ms: when, by the recorder's clock.
        job_id, checkpoint_id, snapshot_id: what proves it, where it was Flink.
        by: who did it; empty for what a writer reported.
        note: why.
    """

    kind: Kind
    writer: str | None
    watermark_ms: int | None
    at_ms: int
    job_id: str = ""
    checkpoint_id: int | None = None
    snapshot_id: int | None = None
    by: str = ""
    note: str = ""


@dataclass(frozen=True)
class Change:
    """What has to be done to a table's properties.

    Attributes:
        changed: properties and their new values; none where there is nothing to do.
        events: what happens thereby.
    """

    changed: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changed)


def check_name(writer: str) -> None:
    """Refuse names of writers that could not be read back.

    Raises:
        UsageError: it is empty, too long, or has characters that nobody can see.
    """
    if not writer.strip() or writer != writer.strip() or not writer.isprintable():
        raise UsageError(f"{writer!r} cannot be a writer's name: it has to be visible text, without space around it.")
    if len(writer) > _MOST_NAME_CHARACTERS:
        raise UsageError(f"Writer name {writer!r} has {len(writer)} characters. The most is {_MOST_NAME_CHARACTERS}.")


def read_properties(table: str, properties: Mapping[str, str], *, latest_ms: float = FOREVER_MS) -> TableMark:
    """Return what a table's properties say; source None where they say nothing.

    What cannot be understood is a problem of the mark and never a watermark. A watermark that was promised stays: the
    table's own counts even if a writer has joined since that is further behind.

    Args:
        table: its full name.
        properties: the table's.
        latest_ms: what is later is not believed, for anybody may have set a property: `20261125020000`, read as epoch
            milliseconds, is in the year 2612. What was recorded by force is believed, and that a writer has ended.
    """
    problems: list[str] = []
    names = sorted(
        {key.removeprefix(WRITER_PREFIX) for key in properties if key.startswith(WRITER_PREFIX)}
        | {key.removeprefix(STATE_PREFIX) for key in properties if key.startswith(STATE_PREFIX)}
    )
    writers = tuple(_read_writer(name, properties, problems, latest_ms) for name in names if name)
    latest_ms = max([latest_ms, *(writer.forced_ms for writer in writers if writer.forced_ms is not None)])
    own = _parse_ms(WATERMARK, properties.get(WATERMARK), problems, latest_ms)
    return TableMark(
        table=table,
        source=Source.WRITERS if writers or WATERMARK in properties else None,
        watermark_ms=_at_least(own, _minimum(writers)),
        writers=writers,
        problems=tuple(problems),
    )


def advance(
    properties: Mapping[str, str], reports: Iterable[Report], *, now_ms: int, retire_after_ms: float = 0, by: str = ""
) -> Change:
    """Decide what reports of writers change; a watermark that is not above the recorded one changes nothing.

    A writer that is new, or back from retirement, counts at once where the table's watermark is not known yet or not
    beyond its own; otherwise it has to catch up first, for the table's watermark does not go back. One that was retired
    comes back when it advances. One that had ended and runs again goes back to where it was before its end, and the
    table with it: that is recorded as what it is, a reset.

    Args:
        properties: the table's.
        reports: one a writer.
        now_ms: the present, epoch ms.
        retire_after_ms: active writers whose watermark was recorded longer ago are retired; 0: none is.
        by: who reports, where it is a person.
    """
    mark = read_properties("", properties)
    writers = {writer.name: writer for writer in mark.writers}
    events: list[Event] = []
    resets: dict[str, str] = {}
    table_ms = mark.watermark_ms
    for report in reports:
        before = writers.get(report.writer)
        if before is not None and _runs_again(before, report):
            before = writers[report.writer] = replace(before, watermark_ms=before.before_end_ms, recorded_at_ms=now_ms)
            if before.active:
                table_ms = _at_most(table_ms, before.watermark_ms)
            why = f"job {report.job_id} is a new run of writer {report.writer}, which had ended"
            resets = _reset_record(now_ms, "recorder", why, mark.watermark_ms, table_ms, report.writer)
            events += [
                Event(Kind.RESET, name, ms, now_ms, job_id=report.job_id, by="recorder", note=why)
                for name, ms in ((report.writer, before.watermark_ms), (None, table_ms))
            ]
        after = _reported(before, report, table_ms, now_ms)
        writers[report.writer] = after
        if before is None or after.watermark_ms != before.watermark_ms or after.status != before.status:
            joined = before is None or (before.status is not after.status)
            events.append(_event(Kind.JOIN if joined else Kind.ADVANCE, after, now_ms, report, by))
    for writer in writers.values():
        if _is_idle(writer, now_ms, retire_after_ms):
            silent = describe_length(now_ms - (writer.recorded_at_ms or 0))
            retired = replace(writer, status=Status.RETIRED, note=f"retired: it had not advanced for {silent}")
            writers[writer.name] = retired
            events.append(_event(Kind.RETIRE, retired, now_ms))
    return _change(properties, mark, writers, events, now_ms, table_ms=table_ms, resets=resets)


def retire(properties: Mapping[str, str], writer: str, *, now_ms: int, by: str, reason: str) -> Change:
    """Decide what it takes for a table to wait for a writer no longer.

    Raises:
        UsageError: the table has no such writer.
    """
    mark = read_properties("", properties)
    found = _known(mark, writer)
    if found.status is Status.RETIRED:
        return Change()
    note = f"retired by {by}: {reason}"
    retired = replace(found, status=Status.RETIRED, note=note)
    writers = {w.name: w for w in mark.writers} | {writer: retired}
    event = Event(Kind.RETIRE, writer, found.watermark_ms, now_ms, by=by, note=reason)
    return _change(properties, mark, writers, [event], now_ms, table_ms=mark.watermark_ms)


def reset(
    properties: Mapping[str, str], to_ms: int, *, writer: str | None = None, now_ms: int, by: str, reason: str
) -> Change:
    """Decide what it takes to set a table back, or one of its writers and the table with it, and to have it on record.

    Raises:
        UsageError: the table has no such writer.
        ConflictError: nothing would go back.
    """
    mark = read_properties("", properties)
    # With the table go all of its writers, for what is not true of the table is not true of those that do not count.
    concerned = [_known(mark, writer)] if writer else mark.writers
    writers = {w.name: w for w in mark.writers}
    for found in concerned:
        if found.watermark_ms is not None and found.watermark_ms > to_ms:
            writers[found.name] = replace(
                found,
                watermark_ms=to_ms,
                recorded_at_ms=now_ms,
                status=Status.ACTIVE if writer else found.status,
                note=f"set back by {by}: {reason}",
                before_end_ms=None,
                forced_ms=None,
            )
    goes_back = writers != {w.name: w for w in mark.writers}
    table_ms = mark.watermark_ms if mark.watermark_ms is None else min(mark.watermark_ms, to_ms)
    table_ms = _at_least(table_ms, _minimum(writers.values()))
    if not goes_back and table_ms == mark.watermark_ms:
        there = iso(mark.watermark_ms) or "not known"
        raise ConflictError(f"Nothing goes back to {iso(to_ms)}: the watermark is {there}. Nothing was changed.")
    events = [
        Event(Kind.RESET, name, after.watermark_ms, now_ms, by=by, note=reason)
        for name, after in writers.items()
        if after != mark.writer(name)
    ]
    events.append(Event(Kind.RESET, None, table_ms, now_ms, by=by, note=reason))
    changed = _written(mark, writers) | _reset_record(now_ms, by, reason, mark.watermark_ms, to_ms, writer)
    if table_ms is not None:
        changed[WATERMARK] = str(table_ms)
    return _only_differences(properties, changed, events)


def _reset_record(
    now_ms: int, by: str, reason: str, from_ms: int | None, to_ms: int | None, writer: str | None
) -> dict[str, str]:
    record: dict[str, Any] = {"at-ms": now_ms, "by": by, "reason": reason, "from-ms": from_ms, "to-ms": to_ms}
    record |= {"writer": writer} if writer else {}
    return {RESET: _json(record)}


def _runs_again(before: WriterMark, report: Report) -> bool:
    """Say whether a writer that had ended has a new run: of another job, or of the same id that began after that."""
    if not before.ended or report.started_ms is None or (report.watermark_ms or NOT_YET_MS) >= FOREVER_MS:
        return False
    return report.job_id != before.job_id or report.started_ms > (before.recorded_at_ms or 0)


def _reported(before: WriterMark | None, report: Report, table_ms: int | None, now_ms: int) -> WriterMark:
    best = _at_least(before.watermark_ms if before else None, report.watermark_ms)
    known = before or WriterMark(report.writer, None, None, Status.CATCHING_UP)
    caught_up = table_ms is None or (best is not None and best >= table_ms)
    status = Status.ACTIVE if known.active or caught_up else Status.CATCHING_UP
    advanced = best != known.watermark_ms
    if known.status is Status.RETIRED and not advanced:
        return known
    after = WriterMark(
        name=report.writer,
        watermark_ms=best,
        recorded_at_ms=now_ms if advanced or known.recorded_at_ms is None else known.recorded_at_ms,
        status=status,
        job_id=report.job_id or known.job_id,
        note=report.note or ("" if advanced else known.note),
        forced_ms=_at_least(known.forced_ms, report.watermark_ms if report.forced else None),
    )
    return (
        replace(after, before_end_ms=known.before_end_ms if known.ended else known.watermark_ms)
        if after.ended
        else after
    )


def _is_idle(writer: WriterMark, now_ms: int, retire_after_ms: float) -> bool:
    if not retire_after_ms or not writer.active or writer.recorded_at_ms is None:
        return False
    return not writer.ended and now_ms - writer.recorded_at_ms > retire_after_ms


def _change(
    properties: Mapping[str, str],
    mark: TableMark,
    writers: Mapping[str, WriterMark],
    events: list[Event],
    now_ms: int,
    *,
    table_ms: int | None,
    resets: Mapping[str, str] | None = None,
) -> Change:
    """Return what makes the properties say what ``writers`` do; the table has ``table_ms`` at least."""
    reached = _at_least(table_ms, _minimum(writers.values()))
    changed = _written(mark, writers) | dict(resets or {})
    if reached is not None:
        changed[WATERMARK] = str(reached)
        if reached != table_ms or (str(reached) != properties.get(WATERMARK) and not resets):
            events = [*events, Event(Kind.ADVANCE, None, reached, now_ms)]
    elif mark.watermark_ms is not None:
        changed[WATERMARK] = str(NOT_YET_MS)
    return _only_differences(properties, changed, events)


def _only_differences(properties: Mapping[str, str], changed: Mapping[str, str], events: list[Event]) -> Change:
    different = {key: value for key, value in changed.items() if properties.get(key) != value}
    return Change(different, tuple(events)) if different else Change()


def _written(mark: TableMark, writers: Mapping[str, WriterMark]) -> dict[str, str]:
    """Return the properties of the writers that are not what a mark says; what others wrote is left alone."""
    written = {}
    for writer in writers.values():
        if writer == mark.writer(writer.name):
            continue
        value = NOT_YET_MS if writer.watermark_ms is None else writer.watermark_ms
        written[WRITER_PREFIX + writer.name] = str(value)
        state: dict[str, Any] = {
            "recorded-at-ms": writer.recorded_at_ms,
            "status": None if writer.active else writer.status.value,
            "job-id": writer.job_id or None,
            "note": writer.note or None,
            "before-end-ms": writer.before_end_ms,
            "forced-ms": writer.forced_ms,
        }
        written[STATE_PREFIX + writer.name] = _json({key: value for key, value in state.items() if value is not None})
    return written


def _event(kind: Kind, writer: WriterMark, now_ms: int, report: Report | None = None, by: str = "") -> Event:
    return Event(
        kind=kind,
        writer=writer.name,
        watermark_ms=writer.watermark_ms,
        at_ms=now_ms,
        job_id=writer.job_id,
        checkpoint_id=report.checkpoint_id if report else None,
        snapshot_id=report.snapshot_id if report else None,
        by=by,
        note=writer.note,
    )


def _read_writer(name: str, properties: Mapping[str, str], problems: list[str], latest_ms: float) -> WriterMark:
    state = _parse_state(STATE_PREFIX + name, properties.get(STATE_PREFIX + name), problems)
    forced_ms = time_or_none(state.get("forced-ms"))
    latest_ms = latest_ms if forced_ms is None else max(latest_ms, forced_ms)
    watermark = _parse_ms(WRITER_PREFIX + name, properties.get(WRITER_PREFIX + name), problems, latest_ms)
    status = state.get("status", Status.ACTIVE.value)
    if status not in list(Status):
        problems.append(
            f"table property {STATE_PREFIX}{name} has status {status!r}, which is none; it counts as active"
        )
        status = Status.ACTIVE
    return WriterMark(
        name=name,
        watermark_ms=watermark,
        recorded_at_ms=time_or_none(state.get("recorded-at-ms")),
        status=Status(status),
        job_id=str(state.get("job-id") or ""),
        note=str(state.get("note") or ""),
        before_end_ms=time_or_none(state.get("before-end-ms")),
        forced_ms=forced_ms,
    )


def _parse_ms(key: str, text: str | None, problems: list[str], latest_ms: float) -> int | None:
    if text is None:
        return None
    value = int(text) if _WHOLE_NUMBER.fullmatch(text) else _EARLIEST_MS - 1
    if value == NOT_YET_MS:
        return None
    if value == _FLINK_FOREVER_MS:
        return FOREVER_MS
    if not _EARLIEST_MS <= value <= FOREVER_MS:
        problems.append(f"table property {key} is {text!r}, which is not a time in epoch milliseconds")
        return None
    if latest_ms < value < FOREVER_MS:
        problems.append(
            f"table property {key} is {text!r}: {iso(value)} is still to come, so it does not count. "
            "`autostream watermark reset` sets it back"
        )
        return None
    return value


def time_or_none(value: object) -> int | None:
    """Return a number in JSON that can be a time in epoch milliseconds; None for anything else."""
    return value if type(value) is int and _EARLIEST_MS <= value <= FOREVER_MS else None


def _parse_state(key: str, text: str | None, problems: list[str]) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        problems.append(f"table property {key} is {text!r}, which is no JSON object")
        return {}
    return state


def _minimum(writers: Iterable[WriterMark]) -> int | None:
    values = [writer.watermark_ms for writer in writers if writer.active]
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def _at_least(one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return max(known, default=None)


def _at_most(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)


def _known(mark: TableMark, writer: str) -> WriterMark:
    found = mark.writer(writer)
    if found is None:
        names = ", ".join(w.name for w in mark.writers) or "none"
        raise UsageError(f"The table has no writer {writer!r}. It has: {names}.")
    return found


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def describe(event: Event) -> str:
    """Return an event in a few words, for logs."""
    whose = f"writer {event.writer}" if event.writer else "table"
    there = "not known yet" if event.watermark_ms is None else describe_instant(event.watermark_ms) + " UTC"
    note = f" ({event.note})" if event.note else ""
    return f"{whose}: {event.kind.value}, {there}{note}"
