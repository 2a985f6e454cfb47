"""Flame graphs: where the threads of a job's tasks were in how many samples, and a picture of it. Pure.

The picture is an SVG file that needs nothing else: no script, no font, no address. Each box is a place in the code, as
wide as the share of the samples in which it was seen; below it is what it has called. Pointing at a box shows its name
in full.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from autostream.findings import Finding, Severity
from autostream.spelling import counted, shortened
from autostream.times import iso

KINDS: Final = {"full": "all", "on_cpu": "on CPU", "off_cpu": "off CPU"}
"""What is sampled, by Flink's names: threads that are on a CPU, those that wait, or all."""

_WIDTH: Final = 1200
_ROW: Final = 18
_MARGIN: Final = 10
_HEAD: Final = 46
_LEAST_WIDTH: Final = 0.6
_LEAST_SHARE: Final = 0.01
_CHARACTER: Final = 6.6
_MOST_ROWS: Final = 400
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JAVA: Final = re.compile(r"(?:java|javax|jdk|sun|scala)\.")
_COLOURS: Final = (  # of the first that matches; dark text is readable on all of them
    (re.compile(r"org\.apache\.flink\."), "#a9c8e8"),
    (_JAVA, "#c9d6c0"),
    (re.compile(r"org\.apache\.(?:iceberg|parquet|orc|avro|hadoop)\."), "#c5b3e0"),
    (re.compile(r"org\.rocksdb\."), "#e5b8b8"),
)
_OWN_CODE: Final = "#f5b36b"
_GROUND: Final = "#dddddd"


@dataclass(frozen=True)
class Flame:
    """A place in the code.

    Attributes:
        name: Class, method and line.
        samples: In how many samples it was seen.
        children: What it had called then.
    """

    name: str
    samples: int
    children: tuple[Flame, ...] = ()

    @property
    def own_samples(self) -> int:
        """In how many samples it was the innermost place."""
        return max(self.samples - sum(child.samples for child in self.children), 0)


@dataclass(frozen=True)
class FlameGraph:
    """Samples of one or several vertices.

    Attributes:
        title: What was sampled.
        kind: One of `KINDS`.
        at_ms: When the last sample was taken.
        root: All samples; its children are the vertices.
    """

    title: str
    kind: str
    at_ms: int | None
    root: Flame

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Say for each vertex in which places its tasks were most."""
        return tuple(self._of_vertex(vertex) for vertex in self.root.children)

    def _of_vertex(self, vertex: Flame) -> Finding:
        subject = shortened(vertex.name)
        if not vertex.samples:
            told = f"The tasks of {subject} were in none of the samples ({KINDS[self.kind]})."
            return Finding(subject, Severity.INFO, told, id="flames")
        most = [(place, count / vertex.samples) for place, count in innermost_places(vertex)[:3]]
        places = ", ".join(f"{place} {share:.0%}" for place, share in most if share >= _LEAST_SHARE)
        told = f"{counted(vertex.samples, 'sample')} of the tasks of {subject} ({KINDS[self.kind]}): {places}."
        return Finding(subject, Severity.INFO, told, id="flames", figures={"samples": vertex.samples})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it: for each vertex the places in which its tasks were most."""
        return {
            "title": self.title,
            "kind": self.kind,
            "at": iso(self.at_ms),
            "at_ms": self.at_ms,
            "samples": self.root.samples,
            "vertices": [
                {
                    "name": vertex.name,
                    "samples": vertex.samples,
                    "places": [{"place": p, "samples": n} for p, n in innermost_places(vertex)[:20]],
                }
                for vertex in self.root.children
            ],
        }


def innermost_places(flame: Flame) -> list[tuple[str, int]]:
    """Return the places in which the samples ended, with how many did, the most first.

    Java's own places say little (`Unsafe.park`): what had called them stands for them.
    """
    counts: Counter[str] = Counter()
    waiting = [(flame, flame.name)]
    while waiting:
        one, caller = waiting.pop()
        place = caller if _JAVA.match(one.name) else one.name
        if one.own_samples:
            counts[place] += one.own_samples
        waiting.extend((child, place) for child in one.children)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def gathered(title: str, kind: str, vertices: Sequence[tuple[str, int | None, Flame]]) -> FlameGraph:
    """Return the graphs of several vertices as one.

    Args:
        title: What was sampled.
        kind: One of `KINDS`.
        vertices: Of each its name, when it was sampled, and all of its samples.
    """
    children = tuple(Flame(name, flame.samples, flame.children) for name, _, flame in vertices)
    root = Flame("all", sum(child.samples for child in children), children)
    return FlameGraph(title, kind, max((at for _, at, _ in vertices if at is not None), default=None), root)


def as_svg(graph: FlameGraph) -> str:
    """Return the picture of a graph."""
    boxes = list(_boxes(graph.root))
    rows = max((row for _, row, _, _ in boxes), default=0) + 1
    height = _HEAD + rows * _ROW + _MARGIN
    samples = counted(graph.root.samples, "sample")
    when = f", {iso(graph.at_ms)}" if graph.at_ms is not None else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'role="img" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">',
        f"<title>{_text(graph.title)}: flame graph ({KINDS[graph.kind]})</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="20" font-size="15" fill="#111111">{_text(graph.title)}</text>',
        f'<text x="{_MARGIN}" y="36" fill="#444444">{KINDS[graph.kind]}: {samples}{when}. '
        "Orange: the job's own code and its libraries; blue: Flink; green: Java; violet: table formats and storage; "
        "red: RocksDB.</text>",
    ]
    lines += [_box(flame, row, x, width, graph.root.samples) for flame, row, x, width in boxes]
    return "\n".join([*lines, "</svg>", ""])


def _boxes(root: Flame) -> Iterator[tuple[Flame, int, float, float]]:
    """Yield what is wide enough to be seen: the place, its row, where it begins, and how wide it is."""
    usable = _WIDTH - 2 * _MARGIN
    waiting = [(root, 0, float(_MARGIN), float(usable))]
    while waiting:
        flame, row, x, width = waiting.pop()
        yield flame, row, x, width
        if row + 1 >= _MOST_ROWS or not flame.samples:
            continue
        # A lie about the children must not draw beyond their parent.
        all_samples = max(flame.samples, sum(child.samples for child in flame.children))
        for child in flame.children:
            wide = width * child.samples / all_samples
            if wide >= _LEAST_WIDTH:
                waiting.append((child, row + 1, x, wide))
            x += wide


def _box(flame: Flame, row: int, x: float, width: float, all_samples: int) -> str:
    y = _HEAD + row * _ROW
    share = flame.samples / all_samples if all_samples else 0.0
    room = int((width - 6) / _CHARACTER)
    label = flame.name if len(flame.name) <= room else _fitting(flame.name, room)
    words = f'<text x="{x + 3:.1f}" y="{y + 12}" fill="#111111">{_text(label)}</text>' if label else ""
    return (
        f"<g><title>{_text(flame.name)}: {counted(flame.samples, 'sample')}, {share:.1%}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.1):.1f}" height="{_ROW - 1}" rx="1" '
        f'fill="{_colour(flame.name, row)}"/>{words}</g>'
    )


def _fitting(name: str, room: int) -> str:
    """Return as much of a name as fits: the class without its package, else its beginning; nothing where that is "
    "little.
    """
    call = re.sub(r"^(?:[a-z_][\w$]*\.)+(?=[A-Z])", "", name)
    if len(call) <= room:
        return call
    return f"{call[: room - 1]}…" if room > 4 else ""


def _colour(name: str, row: int) -> str:
    if row < 2:
        return _GROUND
    return next((colour for pattern, colour in _COLOURS if pattern.match(name)), _OWN_CODE)


def _text(text: str) -> str:
    return escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text))
