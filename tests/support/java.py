"""Tables read by Iceberg's own generic reader, in Java."""

import datetime as dt
import decimal
import json
import struct
import subprocess
import uuid
from pathlib import Path
from typing import Any

from pyiceberg.table import Table
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    ListType,
    MapType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from tests.support.services import SERVICES, need_programs, set_up

_EPOCH = dt.datetime(1970, 1, 1)
JAVA = SERVICES / "java" / "java.sh"


def need_java(jars: str) -> None:
    """Skip the test where the jars (``iceberg`` or ``flink``) cannot be had."""
    need_programs(f"Java with {jars}", "java", "javac", "mvn", "uv")
    set_up(f"Java with {jars}", "java/java.sh", "setup", jars)


def read_by_java(tables: list[Table], directory: Path) -> list[list[dict[str, Any]]]:
    """Return the rows of each table's current metadata; one JVM reads them all."""
    directory.mkdir(parents=True, exist_ok=True)
    outputs = [directory / f"{number}.jsonl" for number in range(len(tables))]
    pairs = [str(a) for t, o in zip(tables, outputs, strict=True) for a in (t.metadata_location, o)]
    done = subprocess.run([JAVA, "run", "iceberg", "ReadTables", *pairs], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return [
        [_value(json.loads(line), table.schema().as_struct()) for line in output.read_text().splitlines()]
        for table, output in zip(tables, outputs, strict=True)
    ]


def _value(value: Any, kind: IcebergType) -> Any:
    if value is None:
        return None
    match kind:
        case StructType():
            return {f.name: _value(value[f.name], f.field_type) for f in kind.fields}
        case ListType():
            return [_value(item, kind.element_type) for item in value]
        case MapType():
            return [(_value(k, kind.key_type), _value(v, kind.value_type)) for k, v in value]
    return _primitive(value, kind)


def _primitive(value: Any, kind: IcebergType) -> Any:
    match kind:
        case FloatType() | DoubleType():
            number = float(value)
            # Java prints the shortest decimal that is the same float; Arrow gives a float's exact value as a double.
            return _as_float32(number) if isinstance(kind, FloatType) else number
        case DecimalType():
            return decimal.Decimal(value)
        case BinaryType() | FixedType():
            return bytes.fromhex(value)
        case UUIDType():
            return uuid.UUID(value)
        case DateType():
            return _EPOCH.date() + dt.timedelta(days=value)
        case TimeType():
            return (_EPOCH + dt.timedelta(microseconds=value)).time()
        case TimestampType():
            return _EPOCH + dt.timedelta(microseconds=value)
        case TimestamptzType():
            return _EPOCH.replace(tzinfo=dt.UTC) + dt.timedelta(microseconds=value)
    return value


def _as_float32(number: float) -> float:
    return float(struct.unpack(">f", struct.pack(">f", number))[0])
