"""`autostream table`: list, inspect, scan and compact tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import autostream
from autostream.cli import interrupts, table_enabling
from autostream.cli.arguments import NamespaceOption, PatternsArgument, TableArgument
from autostream.cli.common_options import ask_for
from autostream.cli.grid import LABEL, NAME, NUMBER, TEXT, Column, show_grid
from autostream.cli.output import Format, JsonOption, emit, print_error, progress
from autostream.cli.terminal import Part, note, say
from autostream.errors import UsageError
from autostream.masking import mask
from autostream.names import catalog_of
from autostream.sizes import format_size
from autostream.spelling import counted

if TYPE_CHECKING:
    from pyiceberg.types import NestedField

    from autostream.api import LakeTable

app = typer.Typer(no_args_is_help=True)

WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="EXPR", help="Filter, such as \"day >= '2026-11-23' AND id > 5\".")
]

# Rows of a report that a person reads; --json has all of them.
_MOST_ROWS = 40
# Rows of a table that a scan shows.
_ROWS_SHOWN = 20


def _pairs(options: list[str]) -> dict[str, str]:
    pairs = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator or not key:
            raise UsageError(f"Invalid --option {option!r}. Write KEY=VALUE, for example --option rewrite-all=true.")
        if key.strip() in pairs:
            raise UsageError(f"--option {key.strip()} is given more than once. Give it once.")
        pairs[key.strip()] = value.strip()
    return pairs


@app.command("list")
def list_command(
    patterns: PatternsArgument = None, namespace: NamespaceOption = None, as_json: JsonOption = False
) -> None:
    """List tables, and whether the hourly workflow compacts them. Exit code 1 where a catalog cannot be listed."""
    from autostream.api import Lakehouse, UnlistedCatalog

    unlisted: list[UnlistedCatalog] = []
    found = Lakehouse().tables(*(patterns or ()), namespace=namespace, on_failure=unlisted.append)
    rows = [_summary(table) for table in found]
    errors = [{"catalog": failure.catalog, "error": mask(str(failure.error))} for failure in unlisted]
    named = {catalog_of(pattern) for pattern in patterns or ()}
    document = {"catalog": named.pop() if len(named) == 1 else None, "tables": rows, "errors": errors}
    emit(document, as_json=as_json, rows="tables", render=lambda: _render_list(rows))
    for error in errors:
        print_error(error["error"])
    if errors:
        raise typer.Exit(1)


def _summary(table: LakeTable) -> dict[str, Any]:
    try:
        return table.summary().to_dict()
    except Exception as error:  # one broken table must not hide the others
        return {"table": str(table), "error": mask(str(error))}


def _render_list(rows: list[dict[str, Any]]) -> None:
    if not rows:
        say("No matching tables.")
        return
    grid: list[list[Part]] = []
    for row in rows:
        numbers = [
            "-" if row.get(key) is None else f"{row[key]:,}" for key in ("data_files", "delete_files", "records")
        ]
        size = "-" if row.get("bytes") is None else format_size(row["bytes"])
        enabled = "enabled" if row.get("compaction_enabled") else "-"
        grid.append([row["table"], str(row.get("format_version", "-")), enabled, *numbers[:2], size, numbers[2]])
    headings = ("version", NUMBER), ("compaction", LABEL), ("data files", NUMBER), ("delete files", NUMBER)
    columns = [Column("table", NAME), *(Column(*heading) for heading in headings)]
    show_grid([*columns, Column("size", NUMBER), Column("records", NUMBER)], grid)
    for row in rows:
        if "error" in row:
            say((row["table"], "red"), ": ", row["error"], indent=2)


@app.command()
def inspect(
    table: TableArgument,
    files: Annotated[bool, typer.Option("--files", help="List each data file and each delete file too.")] = False,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Compaction option to judge by; repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a table's files, its deletes and what they apply to, and what compaction would do and why."""
    report = autostream.table(table).inspect(options=_pairs(option or [])).to_dict(files=files)
    emit(report, as_json=as_json, rows="partitions", render=lambda: _render_inspection(report))


def _render_inspection(report: Mapping[str, Any]) -> None:
    counts, plan = report["counts"], report["compaction"]
    say((report["table"], "bold"), f"  format version {report['format_version']}, ", report["location"], indent=2)
    head = f"snapshot {report['snapshot_id']}" if report["snapshot_id"] is not None else "no snapshot yet"
    say(
        f"{head} (sequence number {report['sequence_number']}), {counted(report['snapshots'], 'snapshot')}, "
        f"{counted(report['manifests'], 'manifest')}"
    )
    say(
        f"{counted(counts['data_files'], 'data file')}, {counts['equality_delete_files']:,} equality-delete and "
        f"{counted(counts['position_delete_files'], 'position-delete file')} ({report['dangling_delete_files']:,} "
        f"dangling), {format_size(counts['bytes'])}, {counted(counts['records'], 'record')} before deletes"
    )
    _render_partitions(report["partitions"])
    for file in report.get("files", [])[:_MOST_ROWS]:
        size, deletes = format_size(file["bytes"]), len(file["deletes"])
        say(f"  seq {file['sequence_number']:>6}  {size:>10}  {deletes:>5} deletes  ", file["path"], indent=4)
    for delete in report.get("deletes", [])[:_MOST_ROWS]:
        reach = f"on {counted(delete['applies_to_data_files'], 'data file')}  "
        say(f"  seq {delete['sequence_number']:>6}  {delete['content']}  ", reach, delete["path"], indent=4)
    for found in report["contradictions"][:_MOST_ROWS]:
        say("Contradiction: ", found["path"], " ", found["reason"], indent=2)
    _say_rest(len(report["contradictions"]))
    if plan is None:
        say("Scan and compaction refuse this table: engines read different rows from it.")
    else:
        deletes = plan["deletes"]
        say(
            f"Compaction would merge {counted(len(plan['groups']), 'group')}, apply "
            f"{counted(deletes['applied'], 'delete file')}, remove {deletes['removed']:,} and keep "
            f"{deletes['kept']:,}."
        )
    for advice in report["advice"]:
        say(f"Advice: {' '.join(filter(None, (advice['reason'], advice.get('remedy'))))}", indent=2)


def _render_partitions(partitions: list[dict[str, Any]]) -> None:
    numbers = ("files", "size", "records", "eq-del", "pos-del", "deleted (est.)")
    columns = [Column("partition", NAME), *(Column(heading, NUMBER) for heading in numbers)]
    rows: list[list[Part]] = []
    before = None
    for row in partitions[:_MOST_ROWS]:
        verdict = ("merge: " if row["groups"] else "keep: ") + row["compaction"]
        # What is true of many partitions in a row is said once.
        said, before = "as above" if verdict == before else verdict, verdict
        rows.append(
            [
                row["partition"],
                f"{row['data_files']:,}",
                format_size(row["bytes"]),
                f"{row['records']:,}",
                f"{row['equality_delete_files']:,}",
                f"{row['position_delete_files']:,}",
                f"{row['estimated_deleted_ratio']:.0%}",
                said,
            ]
        )
    show_grid([*columns, Column("compaction", TEXT)], rows)
    _say_rest(len(partitions))


def _say_rest(count: int) -> None:
    if count > _MOST_ROWS:
        say(f"… and {count - _MOST_ROWS:,} more; --json has them all.")


@app.command()
def scan(
    context: typer.Context,
    table: TableArgument,
    where: WhereOption = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B", help="Columns, separated by commas.")
    ] = None,
    snapshot: Annotated[int | None, typer.Option("--snapshot", metavar="ID", help="Read this snapshot.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write a Parquet file; or print as table, json or csv."),
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only count the rows.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            metavar="N",
            help=f"Read at most this many rows. Default: {_ROWS_SHOWN} on a terminal, otherwise all.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE where it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read a table with its equality and position deletes applied, in bounded memory."""
    if output is not None and str(output) in {*Format}:
        ask_for(context, Format(str(output)))
        output = None
    _refuse_contradictions(count=count, output=output, overwrite=overwrite, limit=limit)
    name = autostream.table(table)
    names = [part.strip() for part in columns.split(",")] if columns is not None else None
    rows = name.scan(where=where, columns=names, snapshot_id=snapshot)
    document: dict[str, Any] = {"table": str(name), "snapshot_id": rows.snapshot_id}
    if count:
        document["rows"] = rows.count()
        emit(document, as_json=as_json, render=lambda: say(str(document["rows"])))
    elif output:
        interrupts.leave_behind(f"{output} was not written.")
        with progress(f"reading {name}"):
            document |= {"rows": rows.to_parquet(output, limit=limit, overwrite=overwrite), "output": str(output)}
        emit(document, as_json=as_json, render=lambda: say(f"{counted(document['rows'], 'row')} in {output}"))
    else:
        shown = rows.head(_ROWS_SHOWN if limit is None else limit)
        document["columns"] = [field.name for field in rows.schema.fields]
        heads = [_column(field) for field in rows.schema.fields]
        emit(
            document,
            as_json=as_json,
            render=lambda: _render_rows(heads, shown),
            data={"first_rows": _plain(shown)},
            rows="first_rows",
        )


def _refuse_contradictions(*, count: bool, output: Path | None, overwrite: bool, limit: int | None) -> None:
    given = [("--output", output is not None), ("--limit", limit is not None)]
    if count and (others := [option for option, there in given if there]):
        raise UsageError(f"--count and {others[0]} exclude each other. --count counts all rows that match --where.")
    if overwrite and output is None:
        raise UsageError("--overwrite needs --output FILE. Give both, or leave --overwrite out.")
    if output is not None:
        from autostream.lake.scan_output import refuse_output

        refuse_output(output, overwrite=overwrite)


def _column(field: NestedField) -> Column:
    from pyiceberg.types import DecimalType, DoubleType, FloatType, IntegerType, LongType

    numeric = isinstance(field.field_type, DecimalType | DoubleType | FloatType | IntegerType | LongType)
    return Column(field.name, NUMBER if numeric else TEXT)


def _plain(value: Any) -> Any:
    """Return a value of rows as JSON can carry it: bytes in hexadecimal, what has no JSON form as text."""
    import math

    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes():
            return value.hex()
        case float():
            return value if math.isfinite(value) else str(value)
        case None | bool() | int() | str():
            return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _render_rows(columns: list[Column], rows: list[dict[str, Any]]) -> None:
    cells = [["NULL" if value is None else str(_plain(value)) for value in row.values()] for row in rows]
    show_grid(columns, cells, data=True)


@app.command()
def compact(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TABLE|PATTERN...",
            help="CATALOG.NAMESPACE.TABLE, or a pattern in quotes, such as 'lake.shop.*' or 'lake.*'; one or more.",
            show_default=False,
        ),
    ] = None,
    enabled: Annotated[
        bool,
        typer.Option(
            "--enabled",
            help="Only tables with autostream.compaction.enabled=true, of those that match; without patterns, of all "
            "configured catalogs. A table that is named in full is compacted in any case.",
        ),
    ] = False,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="Only partitions that match; on partition columns.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and do nothing.")] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="KEY=VALUE", help="Override a compaction property, or rewrite-all=true; repeatable."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option("--engine", metavar="NAME", help="Overrides the table's; this version has duckdb only."),
    ] = None,
    partition: Annotated[
        list[str] | None,
        typer.Option("--partition", metavar="NAME", help="Only this partition, as --dry-run names it; repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Merge small files and apply deletes, while the writer keeps writing.

    Several tables are compacted one after the other, as the hourly workflow does it: one that fails does not stop the
    others, and is named at the end.
    """
    from autostream.cli.table_fleet import compact_many
    from autostream.lake.compaction.table_selection import is_pattern

    overrides = _pairs(option or []) | ({"engine": engine} if engine else {})
    if "enabled" in overrides:
        raise UsageError(
            "`enabled` is a property of a table, not an option of a run. Leave the option out. A table that you "
            "name in full is always compacted, and --enabled chooses the enabled tables."
        )
    words = tables or []
    if enabled or len(words) != 1 or is_pattern(words[0]):
        compact_many(
            words,
            enabled_only=enabled,
            options=overrides,
            where=where,
            dry_run=dry_run,
            partitions=partition,
            on_step=tell_state,
            as_json=as_json,
        )
        return
    name = autostream.table(words[0])
    with progress(f"compacting {name}") as report:
        result = name.compact(
            where=where,
            partitions=partition,
            options=overrides,
            dry_run=dry_run,
            report_progress=report,
            on_step=partial(tell_state, str(name)),
        )
    if interrupts.interrupted() and result.exit_code:
        raise KeyboardInterrupt  # a group failed by that alone, whatever its error says
    document = result.to_dict()
    if dry_run and result.plan:
        document["plan"] = result.plan.to_dict(files=True)
    emit(document, as_json=as_json, render=lambda: _render_result(document))
    if result.error and result.exit_code:
        print_error(result.error)
    raise typer.Exit(result.exit_code)


app.command()(table_enabling.enable)
app.command()(table_enabling.disable)


def tell_state(name: str, step: str) -> None:
    """Say what an interruption at a step of a compaction leaves behind."""
    from autostream.lake.compaction.compaction_steps import CompactionStep

    if step == CompactionStep.SWAP_PREPARED:
        interrupts.leave_behind(
            f"It is not known whether the commit succeeded: 'autostream table inspect {name}' shows the current "
            "snapshot. The table is correct in both cases."
        )
    elif step == CompactionStep.SWAPPED:
        interrupts.leave_behind("Commits that were already made stay. The table is correct.")


def _render_result(document: Mapping[str, Any]) -> None:
    before, after, groups = document["before"], document["after"], document["groups"]
    if document["status"] == "planned":
        _render_plan(document)
        return
    say((document["table"], "bold"), f": {document['status']}")
    if document["status"] == "nothing-to-do":
        return
    for problem in document.get("problems", []):
        if problem["reason"] == document.get("error"):
            continue  # it is told as what the command ended by
        note(f"group {problem['group']}: {problem['kind']}: {problem['reason']}")
    for label, key in (
        ("data files", "data_files"),
        ("equality-delete files", "equality_delete_files"),
        ("position-delete files", "position_delete_files"),
    ):
        say(f"  {label:<24}{before[key]:>12,} -> {after[key]:,}")
    say(f"  {'size':<24}{format_size(before['bytes']):>12} -> {format_size(after['bytes'])}")
    seconds = document["seconds"]
    say(
        f"  {groups['committed']} of {counted(groups['planned'], 'group')}, {counted(document['rows_read'], 'row')} "
        f"read, {document['rows_deleted']:,} deleted; plan {seconds['plan']:.1f} s, rewrite {seconds['rewrite']:.1f} "
        f"s, commit {seconds['commit']:.1f} s; peak memory {format_size(document['peak_memory_bytes'])}",
        indent=2,
    )


def _render_plan(document: Mapping[str, Any]) -> None:
    plan = document["plan"]
    say((document["table"], "bold"), f": plan for snapshot {plan['snapshot_id']}; nothing was changed", indent=2)
    numbers = ("files", "size", "records", "eq-del", "pos-del", "seq")
    columns = [Column("group", NUMBER), Column("partition", NAME), *(Column(heading, NUMBER) for heading in numbers)]
    rows: list[list[Part]] = [
        [
            str(group["group"]),
            group["partition"],
            f"{group['data_files']:,}",
            format_size(group["bytes"]),
            f"{group['records']:,}",
            f"{group['equality_delete_files']:,}",
            f"{group['position_delete_files']:,}",
            str(group["data_sequence_number"]),
            group["reason"],
        ]
        for group in plan["groups"][:_MOST_ROWS]
    ]
    if rows:
        show_grid([*columns, Column("reason", TEXT)], rows)
    _say_rest(len(plan["groups"]))
    for name, reason in list(plan["skipped"].items())[:_MOST_ROWS]:
        say(f"  keep {name}: {reason}", indent=4)
    _say_rest(len(plan["skipped"]))
    deletes = plan["deletes"]
    kept = f" and {deletes['kept']:,} kept, because they can still apply to other data files" if deletes["kept"] else ""
    say(f"This would apply {counted(deletes['applied'], 'delete file')}: {deletes['removed']:,} removed{kept}.")
