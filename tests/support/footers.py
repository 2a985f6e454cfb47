"""Parquet footers changed after the fact: the statistics of writers that nobody can install any more."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A struct of Thrift's compact protocol, by field id: the type with the value.
Struct = dict[int, tuple[int, Any]]

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)

ROW_GROUPS, CREATED_BY, COLUMN_ORDERS = 4, 6, 7
MAX, MIN, NULL_COUNT, MAX_VALUE, MIN_VALUE = 1, 2, 3, 5, 6


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        value = self.number()
        return (value >> 1) ^ -(value & 1)

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self.byte()
        if kind in (_I16, _I32, _I64):
            return self.signed()
        if kind == _DOUBLE:
            return self.take(8)
        if kind == _BINARY:
            return self.take(self.number())
        if kind in (_LIST, _SET):
            head = self.byte()
            size = head >> 4 if head >> 4 < 15 else self.number()
            if head & 15 in (_TRUE, _FALSE):
                return head & 15, [self.byte() for _ in range(size)]
            return head & 15, [self.value(head & 15) for _ in range(size)]
        assert kind == _STRUCT, kind
        return self.struct()

    def struct(self) -> Struct:
        fields: Struct = {}
        last = 0
        while (head := self.byte()) != 0:
            last = last + (head >> 4) if head >> 4 else self.signed()
            fields[last] = (head & 15, self.value(head & 15))
        return fields


def _number(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _signed(value: int) -> bytes:
    return _number(value << 1 if value >= 0 else ((-value) << 1) - 1)


def _value(kind: int, value: Any) -> bytes:
    if kind in (_TRUE, _FALSE):
        return b""
    if kind == _BYTE:
        return bytes([value])
    if kind in (_I16, _I32, _I64):
        return _signed(value)
    if kind == _DOUBLE:
        return bytes(value)
    if kind == _BINARY:
        return _number(len(value)) + value
    if kind in (_LIST, _SET):
        element, values = value
        head = (
            bytes([len(values) << 4 | element]) if len(values) < 15 else bytes([0xF0 | element]) + _number(len(values))
        )
        if element in (_TRUE, _FALSE):
            return head + bytes(values)
        return head + b"".join(_value(element, v) for v in values)
    return _struct(value)


def _struct(fields: Struct) -> bytes:
    out, last = b"", 0
    for number, (kind, value) in sorted(fields.items()):
        written = (_TRUE if value else _FALSE) if kind in (_TRUE, _FALSE) else kind
        step = number - last
        out += bytes([step << 4 | written]) if 0 < step < 16 else bytes([written]) + _signed(number)
        out += _value(kind, value)
        last = number
    return out + b"\x00"


def change_footer(path: Path, change: Callable[[Struct], None]) -> None:
    """Let ``change`` alter the footer (a FileMetaData) of a Parquet file in place."""
    data = path.read_bytes()
    (size,) = struct.unpack("<I", data[-8:-4])
    footer = _Reader(data[-8 - size : -8]).struct()
    change(footer)
    written = _struct(footer)
    path.write_bytes(data[: -8 - size] + written + struct.pack("<I", len(written)) + b"PAR1")


def set_statistics(path: Path, column: int, *bounds: tuple[bytes, bytes], deprecated: bool = False) -> None:
    """Write lower and upper bounds of a column into the footer, one pair a row group, and let those it had go.

    Args:
        path: the file.
        column: which of its leaf columns.
        bounds: least and greatest value, as Parquet encodes them.
        deprecated: as writers did before 2017, into ``min`` and ``max`` and without ``column_orders``.
    """

    def change(footer: Struct) -> None:
        if deprecated:
            footer.pop(COLUMN_ORDERS, None)
            footer[CREATED_BY] = (_BINARY, b"parquet-mr version 1.8.1 (build 4aba4dae7bb0d4edbcf7923ae1339f28fd3f7fcf)")
        for group, (least, greatest) in zip(footer[ROW_GROUPS][1][1], bounds, strict=True):
            chunk = group[1][1][1][column][3][1]
            names = (MIN, MAX) if deprecated else (MIN_VALUE, MAX_VALUE)
            chunk[12] = (
                _STRUCT,
                {NULL_COUNT: (_I64, 0), names[0]: (_BINARY, least), names[1]: (_BINARY, greatest)},
            )

    change_footer(path, change)
