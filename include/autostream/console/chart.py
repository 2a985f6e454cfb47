"""The chart of a table's compactions: where its bars stand, for a template that draws them as SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from autostream.lake.compaction.runs.log import CompactionRun
from autostream.times import describe_instant

WIDTH: Final = 900
HEIGHT: Final = 140
_WIDEST_SLOT: Final = 40


@dataclass(frozen=True)
class Bar:
    """One compaction: a bar of the files before it, and in front of that one of the files after it.

    Attributes:
        run: The compaction.
        ended: When it ended, for people.
        before: Files before it, data files and delete files; None where that is not known.
        after: Files after it.
        x: Where its slot begins.
        width: How wide its bars are.
        before_height: Of the bar of files before.
        after_height: Of the bar of files after.
    """

    run: CompactionRun
    ended: str
    before: int | None
    after: int | None
    x: float
    width: float
    before_height: float
    after_height: float


@dataclass(frozen=True)
class Chart:
    """The bars from the oldest to the newest, on a scale from 0 to `most` files.

    Attributes:
        bars: One a compaction.
        most: The most files there were.
        width: Of the whole.
        height: Of the whole; the bars stand at its lower end, and the highest one fills it.
    """

    bars: tuple[Bar, ...]
    most: int
    width: int = WIDTH
    height: int = HEIGHT


def chart_of(newest_first: Sequence[CompactionRun]) -> Chart | None:
    """Return the chart of some compactions; None where there is nothing to see."""
    counted = [
        (
            run,
            _files(run.data_files_before, run.delete_files_before),
            _files(run.data_files_after, run.delete_files_after),
        )
        for run in reversed(newest_first)
    ]
    most = max((files for _, before, after in counted for files in (before, after) if files is not None), default=0)
    if not most:
        return None
    slot = min(_WIDEST_SLOT, WIDTH / len(counted))
    scale = HEIGHT / most
    return Chart(
        tuple(
            Bar(
                run=run,
                ended=describe_instant(run.ended_at_ms - run.ended_at_ms % 1000),
                before=before,
                after=after,
                x=round(slot * index + slot * 0.1, 1),
                width=round(slot * 0.8, 1),
                before_height=round((before or 0) * scale, 1),
                after_height=round((after or 0) * scale, 1),
            )
            for index, (run, before, after) in enumerate(counted)
        ),
        most,
    )


def _files(data: int | None, deletes: int | None) -> int | None:
    return None if data is None or deletes is None else data + deletes
