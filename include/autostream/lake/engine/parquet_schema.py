"""The schema of a Parquet file as the file itself has it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Parquet's name of values that all have one length.
FIXED = "FIXED_LEN_BYTE_ARRAY"


@dataclass(frozen=True)
class PhysicalField:
    """One field of a Parquet file's schema.

    Attributes:
        name: name in the file.
        field_id: Iceberg field id, None where the file has none.
        type: the type DuckDB reads it as.
        kind: `struct`, `list`, `map` or `primitive`; `repeated group` for what is none of the format's.
        children: fields of a struct; the element of a list; key and value of a map.
        stored: the type in the file itself, with what annotates it: `INT64 (TIMESTAMP_MICROS)`.
        misread: whether the engine reads the field otherwise than the format says, or not at all.
    """

    name: str
    field_id: int | None
    type: str
    kind: str
    children: tuple[PhysicalField, ...] = ()
    stored: str = field(default="", compare=False)
    misread: bool = field(default=False, compare=False)


def field_tree(elements: list[dict[str, Any]]) -> tuple[PhysicalField, ...]:
    """Return the fields of a schema that is given as Parquet does: depth first, each with its number of children."""
    position = 0

    def visit(parent: str) -> PhysicalField:
        nonlocal position
        element = elements[position]
        position += 1
        count = element["children"] or 0
        kind = _group(element, parent) if count else "primitive"
        children = tuple(visit(kind) for _ in range(count))
        misread = False
        if kind == "list":
            wrapped = _wraps_element(element["name"], children[0])
            # The engine takes every group of one field for a mere wrapper.
            misread = not wrapped and len(children[0].children) == 1
            children = (children[0].children[0] if wrapped else children[0],)
        elif kind == "map":
            children = children[0].children
        return PhysicalField(
            name=element["name"],
            # Some writers say -1 for none.
            field_id=None if element["id"] is None or element["id"] < 0 else element["id"],
            type=element["type"] or "",
            kind=kind,
            children=children,
            stored=_stored(element),
            # The engine parses JSON, and refuses a file for a text that is none.
            misread=misread or element["type"] == "JSON",
        )

    return visit("").children


def _group(element: Mapping[str, Any], parent: str) -> str:
    """Return the kind of a group by its annotation, and by the kind of the group that it is in."""
    if parent == "map":
        # What repeats in a map is key and value, though old writers annotate it as if it were a map itself.
        return "struct"
    if element["repetition"] == "REPEATED" and parent != "list":
        return "repeated group"  # without a list around it, which Iceberg does not know
    annotation = _annotation(element)
    return next((kind for kind in ("list", "map") if annotation.startswith(kind.upper())), "struct")


def _annotation(element: Mapping[str, Any]) -> str:
    """Return what annotates a field, in the words of the older of Parquet's two ways where there is one; or nothing."""
    newer = (element["logical"] or "").split("(", 1)[0].removesuffix("Type").upper()
    return element["converted"] or {"STRING": "UTF8"}.get(newer, newer)


def _stored(element: Mapping[str, Any]) -> str:
    """Return a field's type as the file has it."""
    physical = element["physical"] or "group"
    if physical == FIXED:
        physical += f"({element['length']})"
    annotation = _annotation(element)
    if annotation == "DECIMAL" and (element["type"] or "").startswith(annotation):
        annotation = element["type"]  # with precision and scale
    return f"{physical} ({annotation})" if annotation else physical


def _wraps_element(list_name: str, repeated: PhysicalField) -> bool:
    """Say by Parquet's rules for old writers whether a list's repeated group only holds the element."""
    alone = repeated.kind == "struct" and len(repeated.children) == 1
    return alone and repeated.name not in ("array", f"{list_name}_tuple")
