"""What reports of writers, retirements and resets change in the watermarks of a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from autostream.errors import ConflictError, UsageError
from autostream.times import EARLIEST_MS, FOREVER_MS, describe_length, iso
from autostream.watermark.codec import (
    NOT_YET_MS,
    WATERMARK,
    check_writer_name,
    properties_of_writers,
    read_properties,
    reset_property,
)
from autostream.watermark.events import EventKind, WatermarkEvent
from autostream.watermark.marks import TableMark, WriterMark, WriterStatus, at_least, minimum


@dataclass(frozen=True)
class WatermarkChange:
    """What has to be done to a table's properties.

    Attributes:
        changed: properties and their new values; none where there is nothing to do.
        events: what happens thereby.
    """

    changed: Mapping[str, str] = field(default_factory=dict)
    events: tuple[WatermarkEvent, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changed)


@dataclass(frozen=True)
class WriterReport:
    """What is to be recorded of one writer.

    Attributes:
        writer: its name.
        watermark_ms: all its rows up to this are in the table; None: it writes to the table, but that is all one knows.
        job_id: the Flink job that it is.
        checkpoint_id: the checkpoint whose commit proves it.
        snapshot_id: that commit.
        note: why it does not advance.
        started_ms: since when the job runs; None where it is not known to run.
        forced: someone insists on it, however far ahead of now it is.
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
        check_writer_name(self.writer)
        if self.watermark_ms is not None and not EARLIEST_MS <= self.watermark_ms <= FOREVER_MS:
            raise UsageError(
                f"Invalid watermark {self.watermark_ms} of writer {self.writer}. Write epoch milliseconds, from "
                f"{EARLIEST_MS} to {FOREVER_MS} (the end of the year 9999, for a writer that has ended)."
            )


def apply_reports(
    properties: Mapping[str, str],
    reports: Iterable[WriterReport],
    *,
    now_ms: int,
    retire_after_ms: float = 0,
    by: str = "",
) -> WatermarkChange:
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
    events: list[WatermarkEvent] = []
    resets: dict[str, str] = {}
    table_ms = mark.watermark_ms
    for report in reports:
        before = writers.get(report.writer)
        if before is not None and _runs_again(before, report):
            before = writers[report.writer] = replace(before, watermark_ms=before.before_end_ms, recorded_at_ms=now_ms)
            if before.active:
                table_ms = _at_most(table_ms, before.watermark_ms)
            why = f"job {report.job_id} is a new run of writer {report.writer}, which had ended"
            resets = reset_property(now_ms, "recorder", why, mark.watermark_ms, table_ms, report.writer)
            events += [
                WatermarkEvent(EventKind.RESET, name, ms, now_ms, job_id=report.job_id, by="recorder", note=why)
                for name, ms in ((report.writer, before.watermark_ms), (None, table_ms))
            ]
        after = _reported(before, report, table_ms, now_ms)
        writers[report.writer] = after
        if before is None or after.watermark_ms != before.watermark_ms or after.status != before.status:
            joined = before is None or (before.status is not after.status)
            events.append(_event(EventKind.JOIN if joined else EventKind.ADVANCE, after, now_ms, report, by))
    for writer in writers.values():
        if _is_idle(writer, now_ms, retire_after_ms):
            silent = describe_length(now_ms - (writer.recorded_at_ms or 0))
            retired = replace(writer, status=WriterStatus.RETIRED, note=f"retired: it had not advanced for {silent}")
            writers[writer.name] = retired
            events.append(_event(EventKind.RETIRE, retired, now_ms))
    return _change(properties, mark, writers, events, now_ms, table_ms=table_ms, resets=resets)


def retire_writer(properties: Mapping[str, str], writer: str, *, now_ms: int, by: str, reason: str) -> WatermarkChange:
    """Decide what it takes for a table to wait for a writer no longer.

    Raises:
        UsageError: the table has no such writer.
    """
    mark = read_properties("", properties)
    found = _known(mark, writer)
    if found.status is WriterStatus.RETIRED:
        return WatermarkChange()
    note = f"retired by {by}: {reason}"
    retired = replace(found, status=WriterStatus.RETIRED, note=note)
    writers = {w.name: w for w in mark.writers} | {writer: retired}
    event = WatermarkEvent(EventKind.RETIRE, writer, found.watermark_ms, now_ms, by=by, note=reason)
    return _change(properties, mark, writers, [event], now_ms, table_ms=mark.watermark_ms)


def reset_watermark(
    properties: Mapping[str, str], to_ms: int, *, writer: str | None = None, now_ms: int, by: str, reason: str
) -> WatermarkChange:
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
                status=WriterStatus.ACTIVE if writer else found.status,
                note=f"set back by {by}: {reason}",
                before_end_ms=None,
                forced_ms=None,
            )
    goes_back = writers != {w.name: w for w in mark.writers}
    table_ms = mark.watermark_ms if mark.watermark_ms is None else min(mark.watermark_ms, to_ms)
    table_ms = at_least(table_ms, minimum(writers.values()))
    if not goes_back and table_ms == mark.watermark_ms:
        there = iso(mark.watermark_ms) or "not known"
        raise ConflictError(f"Cannot set anything back to {iso(to_ms)}: the watermark is {there}. Nothing was changed.")
    events = [
        WatermarkEvent(EventKind.RESET, name, after.watermark_ms, now_ms, by=by, note=reason)
        for name, after in writers.items()
        if after != mark.writer(name)
    ]
    events.append(WatermarkEvent(EventKind.RESET, None, table_ms, now_ms, by=by, note=reason))
    changed = properties_of_writers(mark, writers) | reset_property(
        now_ms, by, reason, mark.watermark_ms, to_ms, writer
    )
    if table_ms is not None:
        changed[WATERMARK] = str(table_ms)
    return _only_differences(properties, changed, events)


def _runs_again(before: WriterMark, report: WriterReport) -> bool:
    """Say whether a writer that had ended has a new run: of another job, or of the same id that began after that."""
    if not before.ended or report.started_ms is None or (report.watermark_ms or NOT_YET_MS) >= FOREVER_MS:
        return False
    return report.job_id != before.job_id or report.started_ms > (before.recorded_at_ms or 0)


def _reported(before: WriterMark | None, report: WriterReport, table_ms: int | None, now_ms: int) -> WriterMark:
    best = at_least(before.watermark_ms if before else None, report.watermark_ms)
    known = before or WriterMark(report.writer, None, None, WriterStatus.CATCHING_UP)
    caught_up = table_ms is None or (best is not None and best >= table_ms)
    status = WriterStatus.ACTIVE if known.active or caught_up else WriterStatus.CATCHING_UP
    advanced = best != known.watermark_ms
    if known.status is WriterStatus.RETIRED and not advanced:
        return known
    after = WriterMark(
        name=report.writer,
        watermark_ms=best,
        recorded_at_ms=now_ms if advanced or known.recorded_at_ms is None else known.recorded_at_ms,
        status=status,
        job_id=report.job_id or known.job_id,
        note=report.note or ("" if advanced else known.note),
        forced_ms=at_least(known.forced_ms, report.watermark_ms if report.forced else None),
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
    events: list[WatermarkEvent],
    now_ms: int,
    *,
    table_ms: int | None,
    resets: Mapping[str, str] | None = None,
) -> WatermarkChange:
    """Return what makes the properties say what `writers` do; the table has `table_ms` at least."""
    reached = at_least(table_ms, minimum(writers.values()))
    changed = properties_of_writers(mark, writers) | dict(resets or {})
    if reached is not None:
        changed[WATERMARK] = str(reached)
        if reached != table_ms or (str(reached) != properties.get(WATERMARK) and not resets):
            events = [*events, WatermarkEvent(EventKind.ADVANCE, None, reached, now_ms)]
    elif mark.watermark_ms is not None:
        changed[WATERMARK] = str(NOT_YET_MS)
    return _only_differences(properties, changed, events)


def _only_differences(
    properties: Mapping[str, str], changed: Mapping[str, str], events: list[WatermarkEvent]
) -> WatermarkChange:
    different = {key: value for key, value in changed.items() if properties.get(key) != value}
    return WatermarkChange(different, tuple(events)) if different else WatermarkChange()


def _event(
    kind: EventKind, writer: WriterMark, now_ms: int, report: WriterReport | None = None, by: str = ""
) -> WatermarkEvent:
    return WatermarkEvent(
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


def _known(mark: TableMark, writer: str) -> WriterMark:
    found = mark.writer(writer)
    if found is None:
        names = ", ".join(w.name for w in mark.writers) or "none"
        raise UsageError(f"The table has no writer {writer!r}. Writers: {names}.")
    return found


def _at_most(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)
