"""Samples of one job as bytes: what seldom changes is said once, numbers are packed by column.

A block holds samples that differ in numbers alone. Its outline says which numbers: everything about the samples that is
text, so that thousands of blocks share one.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from autostream.names import JobName
from autostream.telemetry.samples import JobSample, VertexSample

_DOUBLE: Final = 8
# Before the figures of each sample: when it began and when it ended.
_TIMES: Final = 2


@dataclass(frozen=True)
class FigureNames:
    """Which figures the samples of a block have of the job, or of one vertex.

    Attributes:
        figures: Names of the figures that any of the samples has.
        largest: Names of those whose largest values any of them has.
    """

    figures: tuple[str, ...]
    largest: tuple[str, ...]

    @classmethod
    def of(cls, samples: Sequence[JobSample | VertexSample]) -> FigureNames:
        """Return the names of all that samples have."""
        return cls(
            tuple(sorted({name for sample in samples for name in sample.figures})),
            tuple(sorted({name for sample in samples for name in sample.largest})),
        )

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.figures) + len(self.largest)


@dataclass(frozen=True)
class VertexOutline:
    """What the samples of a block have in common of one vertex: its id, the names of its operators, its columns."""

    vertex_id: str
    name: str
    columns: FigureNames


@dataclass(frozen=True)
class Outline:
    """What the samples of a block have in common.

    Attributes:
        job_id: The life of the job.
        state: Its state.
        shared: Whether its task managers run other jobs too.
        missing: Why figures are not there, by name.
        columns: Which figures they have of the job.
        vertices: The same of its vertices.
    """

    job_id: str
    state: str
    shared: bool
    missing: tuple[tuple[str, str], ...]
    columns: FigureNames
    vertices: tuple[VertexOutline, ...]

    @property
    def parts(self) -> list[tuple[str | None, FigureNames]]:
        """The columns of the job, under None, and of each vertex, under its id, in their order."""
        return [(None, self.columns), *((vertex.vertex_id, vertex.columns) for vertex in self.vertices)]

    @property
    def width(self) -> int:
        """How many numbers a sample has, its two times included."""
        return _TIMES + sum(columns.count for _, columns in self.parts)

    def column(self, figure: str, *, vertex_id: str | None = None, largest: bool = False) -> int | None:
        """Return which number of a sample is a figure of the job, or of a vertex; None where none is."""
        start = _TIMES
        for part_id, columns in self.parts:
            names = columns.largest if largest else columns.figures
            if part_id == vertex_id and figure in names:
                return start + names.index(figure) + (len(columns.figures) if largest else 0)
            start += columns.count
        return None

    def to_text(self) -> str:
        """Return it as JSON of ASCII characters."""
        return json.dumps(
            {
                "job_id": self.job_id,
                "state": self.state,
                "shared": self.shared,
                "missing": self.missing,
                "columns": [self.columns.figures, self.columns.largest],
                "vertices": [[v.vertex_id, v.name, v.columns.figures, v.columns.largest] for v in self.vertices],
            },
            separators=(",", ":"),
        )


@lru_cache(maxsize=4096)
def outline_of(text: str) -> Outline:
    """Return the outline that `Outline.to_text` has written."""
    document = json.loads(text)
    return Outline(
        job_id=document["job_id"],
        state=document["state"],
        shared=document["shared"],
        missing=tuple((name, why) for name, why in document["missing"]),
        columns=FigureNames(*(tuple(names) for names in document["columns"])),
        vertices=tuple(
            VertexOutline(vertex_id, name, FigureNames(tuple(figures), tuple(largest)))
            for vertex_id, name, figures, largest in document["vertices"]
        ),
    )


@dataclass(frozen=True)
class Block:
    """Some samples of one job that follow each other.

    Attributes:
        outline: What they have in common.
        from_ms: When the first one began.
        to_ms: When the last one ended.
        numbers: Their numbers: all of the first column, then all of the second, and so on, as little-endian doubles;
            then the first bytes of all doubles, the second ones, and so on, deflated. Fractions are rounded to single
            precision before, which keeps six decimal digits and leaves half of the bytes zero.
    """

    outline: Outline
    from_ms: int
    to_ms: int
    numbers: bytes


def pack_samples(samples: Iterable[JobSample]) -> list[Block]:
    """Return samples of one job as blocks, in the order in which they are given."""
    return [_block(list(alike)) for _, alike in groupby(samples, key=_kind)]


def unpack(job: JobName, outline: Outline, numbers: bytes) -> list[JobSample]:
    """Return the samples of a block."""
    plain = _plain(numbers)
    columns = [_kept(_column(plain, index, outline.width)) for index in range(outline.width)]
    return [_sample(job, outline, row) for row in zip(*columns, strict=True)]


def unpack_series(
    outline: Outline, numbers: bytes, wanted: tuple[tuple[str, str | None], ...]
) -> list[list[tuple[int, int, float, float]]]:
    """Return some figures of the samples of a block, quickly: fractions are in single precision.

    Args:
        outline: What the samples have in common.
        numbers: Their numbers.
        wanted: Names of figures; each with the id of its vertex, None for one of the job.

    Returns:
        For each figure begin, end, value and largest value of the samples that have it.
    """
    places = _places(outline, wanted)
    if not any(places):
        return [[] for _ in wanted]
    plain, width = _plain(numbers), outline.width
    begins, ends = (list(map(int, _column(plain, index, width))) for index in range(_TIMES))
    found: list[list[tuple[int, int, float, float]]] = []
    for place in places:
        values, maxima = (_column(plain, index, width) for index in place) if place else ((), ())
        points = zip(begins, ends, values, maxima, strict=False)
        found.append([point for point in points if not math.isnan(point[2])])
    return found


def unpack_one(numbers: bytes, places: Mapping[str, int]) -> dict[str, float]:
    """Return some figures of a block of one sample, without those that it does not have.

    Args:
        numbers: The numbers of the block.
        places: Which number of a sample each figure is, see `Outline.column`.
    """
    planes = zlib.decompress(numbers)
    width = len(planes) // _DOUBLE
    # The bytes of a number are one in each plane.
    values = _kept(tuple(struct.unpack("<d", planes[place::width])[0] for place in places.values()))
    return _known(tuple(places), values)


@lru_cache(maxsize=4096)
def _places(outline: Outline, wanted: tuple[tuple[str, str | None], ...]) -> list[tuple[int, int] | None]:
    """Return which columns are the values and the largest values of each figure; None where there is none."""
    found: list[tuple[int, int] | None] = []
    for figure, vertex_id in wanted:
        place = outline.column(figure, vertex_id=vertex_id)
        above = outline.column(figure, vertex_id=vertex_id, largest=True)
        found.append(None if place is None else (place, place if above is None else above))
    return found


def _kind(sample: JobSample) -> object:
    vertices = tuple((vertex.vertex_id, vertex.name) for vertex in sample.vertices)
    return sample.job_id, sample.state, sample.shared, sorted(sample.missing.items()), vertices


def _block(samples: Sequence[JobSample]) -> Block:
    first = samples[0]
    outline = Outline(
        job_id=first.job_id,
        state=first.state,
        shared=first.shared,
        missing=tuple(sorted(first.missing.items())),
        columns=FigureNames.of(samples),
        vertices=tuple(
            VertexOutline(v.vertex_id, v.name, FigureNames.of([sample.vertices[index] for sample in samples]))
            for index, v in enumerate(first.vertices)
        ),
    )
    rows = [_row(outline, sample) for sample in samples]
    exact = [float(number) for column in zip(*rows, strict=True) for number in column]
    flat = [number if number.is_integer() else single for number, single in zip(exact, array("f", exact), strict=True)]
    plain = struct.pack(f"<{len(flat)}d", *flat)
    planes = b"".join(plain[index::_DOUBLE] for index in range(_DOUBLE))
    return Block(outline, first.from_ms, samples[-1].at_ms, zlib.compress(planes, 6))


def _row(outline: Outline, sample: JobSample) -> list[float]:
    row: list[float] = [sample.from_ms, sample.at_ms]
    measured: list[JobSample | VertexSample] = [sample, *sample.vertices]
    for (_, columns), part in zip(outline.parts, measured, strict=True):
        row += [part.figures.get(name, math.nan) for name in columns.figures]
        row += [part.largest.get(name, math.nan) for name in columns.largest]
    return row


def _kept(column: tuple[float, ...]) -> tuple[float, ...]:
    """Return numbers with the six digits that single precision keeps."""
    return tuple(number if number.is_integer() else float(f"{number:.6g}") for number in column)


def _plain(numbers: bytes) -> bytes:
    """Return the doubles of a block, one after the other."""
    planes = zlib.decompress(numbers)
    count = len(planes) // _DOUBLE
    plain = bytearray(len(planes))
    for index in range(_DOUBLE):
        plain[index::_DOUBLE] = planes[index * count : (index + 1) * count]
    return bytes(plain)


def _column(plain: bytes, index: int, width: int) -> tuple[float, ...]:
    height = len(plain) // _DOUBLE // width
    return struct.unpack_from(f"<{height}d", plain, index * height * _DOUBLE)


def _sample(job: JobName, outline: Outline, row: tuple[float, ...]) -> JobSample:
    parts, start = [], _TIMES
    for _, columns in outline.parts:
        middle = start + len(columns.figures)
        end = start + columns.count
        parts.append((_known(columns.figures, row[start:middle]), _known(columns.largest, row[middle:end])))
        start = end
    (figures, largest), *of_vertices = parts
    return JobSample(
        job=job,
        job_id=outline.job_id,
        from_ms=int(row[0]),
        at_ms=int(row[1]),
        state=outline.state,
        shared=outline.shared,
        figures=figures,
        missing=dict(outline.missing),
        vertices=tuple(
            VertexSample(vertex.vertex_id, vertex.name, *values)
            for vertex, values in zip(outline.vertices, of_vertices, strict=True)
        ),
        largest=largest,
    )


def _known(names: tuple[str, ...], values: tuple[float, ...]) -> dict[str, float]:
    return {name: value for name, value in zip(names, values, strict=True) if not math.isnan(value)}
