"""Watermarks as table properties, read and written. Pure.

| property | what it holds |
| --- | --- |
| `autostream.watermark` | the table's watermark, epoch ms |
| `autostream.watermark.writer.NAME` | a writer's, epoch ms; -9223372036854775808 (Flink's "none") before its first |
| `autostream.watermark.writer-state.NAME` | JSON: when it was recorded, of which job, its status where not active |
| `autostream.watermark.reset` | JSON: the last time that a watermark was set back, by whom and why |
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from autostream.errors import UsageError
from autostream.times import EARLIEST_MS, FOREVER_MS, iso
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, WriterStatus, at_least, minimum

PREFIX: Final = "autostream.watermark"
WATERMARK: Final = PREFIX
WRITER_PREFIX: Final = "autostream.watermark.writer."
STATE_PREFIX: Final = "autostream.watermark.writer-state."
RESET: Final = "autostream.watermark.reset"

NOT_YET_MS: Final = -(2**63)
"""What Flink calls the watermark of a stream that has none yet."""
_FLINK_FOREVER_MS: Final = 2**63 - 1
_WHOLE_NUMBER: Final = re.compile("-?[0-9]{1,19}")
_MOST_NAME_CHARACTERS: Final = 128  # with the prefix below the 256 that a Hive Metastore takes


def check_writer_name(writer: str) -> None:
    """Refuse names of writers that could not be read back.

    Raises:
        UsageError: it is empty, too long, or has characters that nobody can see.
    """
    if not writer.strip() or writer != writer.strip() or not writer.isprintable():
        raise UsageError(f"Invalid writer name {writer!r}. Use visible characters, without spaces at the start or end.")
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
        source=MarkSource.WRITERS if writers or WATERMARK in properties else None,
        watermark_ms=at_least(own, minimum(writers)),
        writers=writers,
        problems=tuple(problems),
    )


def _read_writer(name: str, properties: Mapping[str, str], problems: list[str], latest_ms: float) -> WriterMark:
    state = _parse_state(STATE_PREFIX + name, properties.get(STATE_PREFIX + name), problems)
    forced_ms = time_or_none(state.get("forced-ms"))
    latest_ms = latest_ms if forced_ms is None else max(latest_ms, forced_ms)
    watermark = _parse_ms(WRITER_PREFIX + name, properties.get(WRITER_PREFIX + name), problems, latest_ms)
    status = state.get("status", WriterStatus.ACTIVE.value)
    if status not in list(WriterStatus):
        problems.append(
            f"table property {STATE_PREFIX}{name} has the unknown status {status!r}, which counts as active"
        )
        status = WriterStatus.ACTIVE
    return WriterMark(
        name=name,
        watermark_ms=watermark,
        recorded_at_ms=time_or_none(state.get("recorded-at-ms")),
        status=WriterStatus(status),
        job_id=str(state.get("job-id") or ""),
        note=str(state.get("note") or ""),
        before_end_ms=time_or_none(state.get("before-end-ms")),
        forced_ms=forced_ms,
    )


def _parse_ms(key: str, text: str | None, problems: list[str], latest_ms: float) -> int | None:
    if text is None:
        return None
    value = int(text) if _WHOLE_NUMBER.fullmatch(text) else EARLIEST_MS - 1
    if value == NOT_YET_MS:
        return None
    if value == _FLINK_FOREVER_MS:
        return FOREVER_MS
    if not EARLIEST_MS <= value <= FOREVER_MS:
        problems.append(f"table property {key} is {text!r}, which is not a time in epoch milliseconds")
        return None
    if latest_ms < value < FOREVER_MS:
        problems.append(
            f"table property {key} is {text!r}: {iso(value)} is in the future, so it does not count. `autostream "
            "watermark reset` sets it back"
        )
        return None
    return value


def time_or_none(value: object) -> int | None:
    """Return a number in JSON that can be a time in epoch milliseconds; None for anything else."""
    return value if type(value) is int and EARLIEST_MS <= value <= FOREVER_MS else None


def _parse_state(key: str, text: str | None, problems: list[str]) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        problems.append(f"table property {key} is {text!r}, which is not a JSON object")
        return {}
    return state


def last_reset(properties: Mapping[str, str]) -> Mapping[str, object]:
    """Return the record of the last time that a watermark was set back; empty where there is none."""
    try:
        record = json.loads(properties.get(RESET, "{}"))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def properties_of_writers(mark: TableMark, writers: Mapping[str, WriterMark]) -> dict[str, str]:
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
        written[STATE_PREFIX + writer.name] = _to_json(
            {key: value for key, value in state.items() if value is not None}
        )
    return written


def reset_property(
    now_ms: int, by: str, reason: str, from_ms: int | None, to_ms: int | None, writer: str | None
) -> dict[str, str]:
    """Return the property that records a reset."""
    record: dict[str, Any] = {"at-ms": now_ms, "by": by, "reason": reason, "from-ms": from_ms, "to-ms": to_ms}
    record |= {"writer": writer} if writer else {}
    return {RESET: _to_json(record)}


def _to_json(value: Mapping[str, Any]) -> str:
    """Return a value of a property that is JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
