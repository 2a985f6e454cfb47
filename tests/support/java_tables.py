"""Random tables of Iceberg's own writers, in Java: what each engine reads of them has to be the same."""

import datetime as dt
import operator
import random
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.types import (
    BooleanType,
    DateType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from autostream.errors import UnsupportedFileError
from autostream.lake.compaction.compaction_options import CompactionOptions
from autostream.lake.compaction.table_compaction import compact_table
from autostream.lake.scan import scan_table
from autostream.resources import EngineResources
from tests.support.java import JAVA
from tests.support.raw import Row, differences, rows_of_arrow, rows_of_java

VERSIONS = ("iceberg", "iceberg-1.4")
"""The sets of jars that write and read: Iceberg 1.11 and 1.4."""

_RESOURCES = EngineResources(threads=1)
_EPOCH = dt.datetime(1970, 1, 1)
_COMPARISONS = (("=", operator.eq), ("<", operator.lt), (">=", operator.ge))


@dataclass(frozen=True)
class RandomTable:
    """A table, and how to make it again."""

    table: Table
    version: str
    seed: int
    number: int
    steps: str

    def __str__(self) -> str:
        """Say how to make the table again, and what was done to it."""
        again = f"scripts/services/java/java.sh run {self.version} WriteTables DIRECTORY {self.seed} {self.number} 1"
        return f"table {self.number} of seed {self.seed} ({again}): {self.steps}"

    def loaded(self) -> Table:
        """Return the table as its catalog has it now."""
        return self.table.catalog.load_table(self.table.name())


def write_tables(catalog: SqlCatalog, directory: Path, *, version: str, seed: int, numbers: range) -> list[RandomTable]:
    """Have Java write tables, and register them as `db.t<number>`."""
    args = [str(directory), str(seed), str(numbers.start), str(len(numbers))]
    done = subprocess.run([JAVA, "run", version, "WriteTables", *args], capture_output=True, text=True)
    assert done.returncode == 0, f"seed {seed}, version {version}: {done.stderr[-4000:]}"
    made = []
    for line in done.stdout.splitlines():
        number, location, steps = line.split("\t", 2)
        table = catalog.register_table(f"db.t{number}", location)
        made.append(RandomTable(table, version, seed, int(number), steps))
    assert len(made) == len(numbers)
    return made


def read_tables(tables: Sequence[RandomTable], directory: Path) -> list[Counter[Row]]:
    """Have Java read the current metadata of tables, all of one version; one JVM reads them all."""
    directory.mkdir(parents=True, exist_ok=True)
    outputs = [directory / f"{item.number}.jsonl" for item in tables]
    current = [item.loaded() for item in tables]
    pairs = [str(a) for t, o in zip(current, outputs, strict=True) for a in (t.metadata_location, o)]
    done = subprocess.run([JAVA, "run", tables[0].version, "ReadTables", *pairs], capture_output=True, text=True)
    assert done.returncode == 0, f"seed {tables[0].seed}: {done.stderr[-4000:]}"
    return [rows_of_java(o, t.schema()) for t, o in zip(current, outputs, strict=True)]


def faults_of(tables: Sequence[RandomTable], directory: Path) -> Iterator[str]:
    """Read tables by Java and by us, compact them, read them by both again; yield what is not the same."""
    expected = read_tables(tables, directory / "before")
    compacted = []
    for item, rows in zip(tables, expected, strict=True):
        try:
            if wrong := differences(_scan(item), rows):
                yield f"scan: {wrong}\n  {item}"
            yield from _faults_of_filters(item, rows)
            _compact(item)
            if wrong := differences(_scan(item), rows):
                yield f"scan after compaction: {wrong}\n  {item}"
            compacted.append((item, rows))
        except UnsupportedFileError as error:
            # The one thing that is known not to be read, and that says so.
            if "together with the map of timestamps" not in str(error):
                yield f"{type(error).__name__}: {error}\n  {item}"
        except Exception as error:
            yield f"{type(error).__name__}: {error}\n  {item}"
    read = read_tables([item for item, _ in compacted], directory / "after") if compacted else []
    for (item, rows), got in zip(compacted, read, strict=True):
        if wrong := differences(got, rows):
            yield f"Java after compaction: {wrong}\n  {item}"


def _scan(item: RandomTable, where: str | None = None) -> Counter[Row]:
    return rows_of_arrow(scan_table(item.loaded(), where=where, resources=_RESOURCES).to_arrow())


def _faults_of_filters(item: RandomTable, rows: Counter[Row]) -> Iterator[str]:
    """Ask for the rows of one value of each column that a literal can spell: files may be left out, rows not."""
    chosen = random.Random(item.number)
    for field in item.loaded().schema().fields:
        values = sorted({dict(row)[field.name] for row in rows} - {None}, key=repr)
        if not values or (literal := _literal(value := chosen.choice(values), field.field_type)) is None:
            continue
        # In what order UUIDs are, nobody agrees.
        ordered = not isinstance(field.field_type, BooleanType | UUIDType)
        sign, holds = chosen.choice(_COMPARISONS if ordered else _COMPARISONS[:1])
        where = f'"{field.name}" {sign} {literal}'
        found = {row: dict(row)[field.name] for row in rows}
        expected = Counter({row: rows[row] for row, cell in found.items() if cell is not None and holds(cell, value)})
        if wrong := differences(_scan(item, where), expected):
            yield f"scan --where {where}: {wrong}\n  {item}"


def _literal(value: Any, kind: IcebergType) -> str | None:
    match kind:
        case IntegerType() | LongType() | BooleanType():
            return str(value)
        case StringType():
            quoted = value.replace("'", "''")
            return f"'{quoted}'" if value.isprintable() else None
        case UUIDType():
            return f"'{uuid.UUID(bytes=value)}'"
        case DateType() if -719_162 <= value <= 2_932_896:
            return f"'{_EPOCH.date() + dt.timedelta(days=value)}'"
        case TimestampType() | TimestamptzType() if -62_135_596_800_000_000 <= value < 253_402_300_800_000_000:
            moment = (_EPOCH + dt.timedelta(microseconds=value)).isoformat()
            return f"'{moment}'" if isinstance(kind, TimestampType) else f"'{moment}+00:00'"
    return None


def _compact(item: RandomTable) -> None:
    table = item.loaded()
    options = CompactionOptions.from_properties(table.properties, {"rewrite-all": "true"})
    result = compact_table(table, f"lake.{'.'.join(table.name())}", options=options, resources=_RESOURCES)
    if result.status not in ("committed", "nothing-to-do"):
        raise AssertionError(f"{result.status}: {result.error}")
