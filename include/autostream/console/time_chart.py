"""Charts of figures over time: where their lines stand, for a template that draws them as SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

WIDTH: Final = 960
HEIGHT: Final = 140
_SLOTS: Final = 240
_SLOTS_A_SPOT: Final = 4
# From the bottom up: failed checkpoints and completed ones, below the lines.
_STRIP: Final = 6


Point = tuple[int, int, float, float]
"""A figure of one interval: when that began, when it ended, the figure, its largest sample."""


@dataclass(frozen=True)
class Span:
    """The time that a chart is about, cut into slots of equal length.

    Attributes:
        from_ms: When it begins.
        to_ms: When it ends.
    """

    from_ms: int
    to_ms: int

    @property
    def slot_ms(self) -> float:
        """The length of a slot."""
        return (self.to_ms - self.from_ms) / _SLOTS

    @property
    def middle_ms(self) -> int:
        """The middle of it."""
        return (self.from_ms + self.to_ms) // 2

    def slot_at(self, ms: int) -> int | None:
        """Return the slot that an instant is in; None where it is in none."""
        slot = int((ms - 1 - self.from_ms) // self.slot_ms)
        return slot if 0 <= slot < _SLOTS else None

    def starts_ms(self, slot: int) -> int:
        """Return when a slot begins."""
        return round(self.from_ms + slot * self.slot_ms)


@dataclass(frozen=True)
class Series:
    """A figure by slots; None: nothing is known of that time.

    Attributes:
        means: Means by time.
        peaks: The largest samples.
    """

    means: tuple[float | None, ...]
    peaks: tuple[float | None, ...]

    @classmethod
    def of(cls, points: Sequence[Point], span: Span) -> Series:
        """Return what points come to in the slots of a span."""
        sums, weights = [0.0] * _SLOTS, [0.0] * _SLOTS
        peaks: list[float | None] = [None] * _SLOTS
        slot_ms, start_ms = span.slot_ms, span.from_ms
        for from_ms, at_ms, value, largest in points:
            first = max(0, int((from_ms - start_ms) / slot_ms))
            last = min(_SLOTS - 1, int((at_ms - 1 - start_ms) / slot_ms))
            for slot in range(first, last + 1):
                begin = start_ms + slot * slot_ms
                weight = min(at_ms, begin + slot_ms) - max(from_ms, begin)
                if weight <= 0:
                    continue
                sums[slot] += weight * value
                weights[slot] += weight
                peak = peaks[slot]
                if peak is None or largest > peak:
                    peaks[slot] = largest
        means = tuple(total / weight if weight else None for total, weight in zip(sums, weights, strict=True))
        return cls(means, tuple(peaks))

    @property
    def most(self) -> float:
        """The largest value; 0 where none is known."""
        return max((value for value in (*self.means, *self.peaks) if value is not None), default=0.0)

    @property
    def last(self) -> float | None:
        """The last mean that is known."""
        return next((value for value in reversed(self.means) if value is not None), None)

    @property
    def mean(self) -> float | None:
        """The mean of the slots of which something is known."""
        known = [value for value in self.means if value is not None]
        return sum(known) / len(known) if known else None


@dataclass(frozen=True)
class Mark:
    """What happened at some time: `restart`, `failed` or `completed`, from `x` on over `width`."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True)
class Spot:
    """A part of a chart that says what is there: means of what is used and what is allotted, None where not known."""

    x: float
    width: float
    from_ms: int
    to_ms: int
    used: float | None
    allotted: float | None
    restarts: int


@dataclass(frozen=True)
class TimeChart:
    """Lines on a scale from 0 to `most`, gaps where nothing is known.

    Attributes:
        used: The path of what is used.
        peaks: The path of the largest samples of it.
        allotted: The path of what is allotted; empty where there is no such thing.
        most: What the upper end stands for.
        marks: Restarts, and checkpoints.
        spots: What to say where.
        used_series: What the lines are made of.
        allotted_series: Likewise.
        width: Of the whole.
        height: Of the whole.
    """

    used: str
    peaks: str
    allotted: str
    most: float
    marks: tuple[Mark, ...]
    spots: tuple[Spot, ...]
    used_series: Series
    allotted_series: Series | None
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Happenings:
    """What happened to a job: the same on each of its charts.

    Attributes:
        marks: Where restarts and checkpoints are marked.
        restarts: How many restarts there were in each slot.
    """

    marks: tuple[Mark, ...] = ()
    restarts: tuple[int, ...] = (0,) * _SLOTS

    @classmethod
    def of(cls, span: Span, *, restarts: Sequence[Point], completed: Sequence[Point], failed: Sequence[Point]) -> Self:
        """Return what points say whose figures are counts: restarts, completed checkpoints and failed ones."""
        restarted = _counts(restarts, span)
        return cls(
            (
                *_marks("completed", _counts(completed, span)),
                *_marks("failed", _counts(failed, span)),
                *_marks("restart", restarted),
            ),
            tuple(restarted),
        )


NOTHING_HAPPENED: Final = Happenings()


def time_chart(
    span: Span,
    used: Sequence[Point],
    allotted: Sequence[Point] | None = None,
    happened: Happenings = NOTHING_HAPPENED,
) -> TimeChart | None:
    """Return a chart; None where nothing is known of what is used.

    Args:
        span: The time that it is about.
        used: What is drawn as an area.
        allotted: What is drawn as a line above that; None where there is no such thing.
        happened: What is marked.
    """
    used_series = Series.of(used, span)
    allotted_series = None if allotted is None else Series.of(allotted, span)
    if used_series.last is None:
        return None
    most = max(used_series.most, allotted_series.most if allotted_series else 0.0) or 1.0
    return TimeChart(
        used=_path(used_series.means, most),
        peaks=_path(used_series.peaks, most) if used_series.peaks != used_series.means else "",
        allotted=_path(allotted_series.means, most) if allotted_series else "",
        most=most,
        marks=happened.marks,
        spots=tuple(_spots(span, used_series, allotted_series, happened.restarts)),
        used_series=used_series,
        allotted_series=allotted_series,
    )


def _path(values: Sequence[float | None], most: float) -> str:
    """Return a line of steps, a slot each, with its ends where nothing is known."""
    width = WIDTH / _SLOTS
    path: list[str] = []
    before: str | None = None
    for slot, value in enumerate(values):
        if value is None:
            before = None
            continue
        y = _number((HEIGHT - _STRIP) * (1 - value / most))
        if y == before:
            path.pop()
        else:
            path.append(f"M{_number(slot * width)} {y}" if before is None else f"V{y}")
        path.append(f"H{_number((slot + 1) * width)}")
        before = y
    return "".join(path)


def _marks(kind: str, counts: Sequence[int]) -> tuple[Mark, ...]:
    """Return where something happened; slots that follow each other as one mark, but for restarts."""
    width = WIDTH / _SLOTS
    marks: list[Mark] = []
    for slot, count in enumerate(counts):
        if not count:
            continue
        x = round(slot * width, 1)
        if kind != "restart" and marks and abs(marks[-1].x + marks[-1].width - x) < width / 2:
            marks[-1] = Mark(kind, marks[-1].x, round(x + width - marks[-1].x, 1))
        else:
            marks.append(Mark(kind, x, round(width, 1)))
    return tuple(marks)


def _counts(points: Sequence[Point], span: Span) -> list[int]:
    counts = [0] * _SLOTS
    for _, at_ms, count, _ in points:
        if count > 0 and (slot := span.slot_at(at_ms)) is not None:
            counts[slot] += round(count)
    return counts


def _spots(span: Span, used: Series, allotted: Series | None, restarts: Sequence[int]) -> list[Spot]:
    width = WIDTH / _SLOTS
    return [
        Spot(
            x=round(slot * width, 1),
            width=_SLOTS_A_SPOT * width,
            from_ms=span.starts_ms(slot),
            to_ms=span.starts_ms(slot + _SLOTS_A_SPOT),
            used=_mean(used.means[slot : slot + _SLOTS_A_SPOT]),
            allotted=_mean(allotted.means[slot : slot + _SLOTS_A_SPOT]) if allotted else None,
            restarts=sum(restarts[slot : slot + _SLOTS_A_SPOT]),
        )
        for slot in range(0, _SLOTS, _SLOTS_A_SPOT)
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
