"""``autostream table``: list, inspect, scan and compact tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autostream.cli.output import JsonOption, emit, log_console, output_console, progress
from autostream.config import load_settings
from autostream.errors import UsageError
from autostream.masking import mask
from autostream.resources import EngineResources, format_size

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from autostream.catalogs import TableName

app = typer.Typer(help="Iceberg tables: what they hold, and how they are kept fast to read.", no_args_is_help=True)

TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="CATALOG.NAMESPACE.TABLE, such as lake.db.orders.")]
WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="EXPR", help="Filter, such as \"day >= '2026-11-23' AND id > 5\".")
]

# Rows of a report that a person reads; --json has all of them.
_MOST_ROWS = 40


def engine_resources() -> EngineResources:
    """Return what the configuration lets the engine use."""
    return EngineResources.configured(**load_settings().engine.model_dump())


def _open(name: str) -> tuple[Table, TableName]:
    from autostream.catalogs import TableName, open_table

    parsed = TableName.parse(name)
    return open_table(parsed), parsed


def _pairs(options: list[str]) -> dict[str, str]:
    pairs = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator or not key:
            raise UsageError(
                f"--option {option!r} is no KEY=VALUE pair. Write, for example, --option rewrite-all=true."
            )
        pairs[key.strip()] = value.strip()
    return pairs


@app.command("list")
def list_command(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="A catalog of PyIceberg's configuration.")],
    as_json: JsonOption = False,
) -> None:
    """List the tables of a catalog, and whether the hourly workflow compacts them."""
    from autostream.catalogs import list_tables, open_catalog, open_table
    from autostream.lake.options import ENABLED

    opened = open_catalog(catalog)
    rows: list[dict[str, Any]] = []
    for name in list_tables(opened, catalog):
        try:
            metadata = open_table(name, catalog=opened).metadata
        except Exception as error:  # one broken table must not hide the others
            rows.append({"table": str(name), "error": mask(str(error))})
            continue
        snapshot = metadata.current_snapshot()
        summary: Mapping[str, str] = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
        rows.append(
            {
                "table": str(name),
                "format_version": metadata.format_version,
                "compaction_enabled": metadata.properties.get(ENABLED, "false").lower() == "true",
                "data_files": _number(summary.get("total-data-files")),
                "delete_files": _number(summary.get("total-delete-files")),
                "bytes": _number(summary.get("total-files-size")),
                "records": _number(summary.get("total-records")),
            }
        )

    def render() -> None:
        from rich.table import Table as Grid

        grid = Grid("table", "version", "compaction", "data files", "delete files", "size", "records", box=None)
        for row in rows:
            if "error" in row:
                grid.add_row(row["table"], "", f"[red]{row['error']}[/red]")
                continue
            enabled = "enabled" if row["compaction_enabled"] else "-"
            size = format_size(row["bytes"]) if row["bytes"] is not None else "-"
            numbers = ["-" if row[k] is None else f"{row[k]:,}" for k in ("data_files", "delete_files", "records")]
            grid.add_row(row["table"], str(row["format_version"]), enabled, numbers[0], numbers[1], size, numbers[2])
        output_console().print(grid)

    emit({"catalog": catalog, "tables": rows}, as_json=as_json, render=render)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None


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
    from autostream.lake.compact import plan_compaction
    from autostream.lake.inspect import inspect_table
    from autostream.lake.options import CompactionOptions

    opened, name = _open(table)
    options = CompactionOptions.from_properties(opened.properties, _pairs(option or []))
    report = inspect_table(plan_compaction(opened, options=options, name=str(name), only_to_show=True), str(name))
    if not files:
        del report["files"], report["deletes"]
    emit(report, as_json=as_json, render=lambda: _render_inspection(report))


def _render_inspection(report: Mapping[str, Any]) -> None:
    from rich.table import Table as Grid

    console = output_console()
    counts, plan = report["counts"], report["compaction"]
    console.print(f"[bold]{report['table']}[/bold]  format version {report['format_version']}, {report['location']}")
    console.print(
        f"snapshot {report['snapshot_id']} (sequence number {report['sequence_number']}), {report['snapshots']} "
        f"snapshots, {report['manifests']} manifests"
    )
    console.print(
        f"{counts['data_files']:,} data files, {counts['equality_delete_files']:,} equality-delete and "
        f"{counts['position_delete_files']:,} position-delete files ({report['dangling_delete_files']:,} dangling), "
        f"{format_size(counts['bytes'])}, {counts['records']:,} records before deletes"
    )
    grid = Grid("partition", "files", "size", "records", "eq-del", "pos-del", "deleted (est.)", "compaction", box=None)
    for row in report["partitions"][:_MOST_ROWS]:
        grid.add_row(
            row["partition"],
            f"{row['data_files']:,}",
            format_size(row["bytes"]),
            f"{row['records']:,}",
            f"{row['equality_delete_files']:,}",
            f"{row['position_delete_files']:,}",
            f"{row['estimated_deleted_ratio']:.0%}",
            ("[green]merge[/green]: " if row["groups"] else "keep: ") + row["compaction"],
        )
    console.print(grid)
    _say_rest(len(report["partitions"]))
    for file in report.get("files", [])[:_MOST_ROWS]:
        console.print(
            f"  seq {file['sequence_number']:>6}  {format_size(file['bytes']):>10}  {len(file['deletes']):>5} deletes "
            f" {file['path']}",
            soft_wrap=True,
        )
    for delete in report.get("deletes", [])[:_MOST_ROWS]:
        console.print(
            f"  seq {delete['sequence_number']:>6}  {delete['content']}  on {delete['applies_to_data_files']} data "
            f"files  {delete['path']}",
            soft_wrap=True,
        )
    for found in report["contradictions"][:_MOST_ROWS]:
        console.print(f"Contradiction: {found['path']} {found['reason']}", soft_wrap=True, markup=False)
    _say_rest(len(report["contradictions"]))
    if plan is None:
        console.print("Scan and compaction refuse this table: engines read different rows from it.", soft_wrap=True)
    else:
        deletes = plan["deletes"]
        console.print(
            f"Compaction would merge {len(plan['groups'])} groups, apply {deletes['applied']:,} delete files, let "
            f"{deletes['removed']:,} go and keep {deletes['kept']:,}."
        )
    for advice in report["advice"]:
        console.print(f"Advice: {advice}", soft_wrap=True)


def _say_rest(count: int) -> None:
    if count > _MOST_ROWS:
        output_console().print(f"… and {count - _MOST_ROWS:,} more; --json has them all.")


@app.command()
def scan(
    table: TableArgument,
    where: WhereOption = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B", help="Columns, separated by commas.")
    ] = None,
    snapshot: Annotated[int | None, typer.Option("--snapshot", metavar="ID", help="Read this snapshot.")] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write a Parquet file.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Only count the rows.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Read a table with its equality and position deletes applied, in bounded memory."""
    from autostream.lake.scan import scan_table

    if count and output:
        raise UsageError("--count and --output exclude each other. Give one of them.")
    opened, name = _open(table)
    names = [part.strip() for part in columns.split(",")] if columns else None
    rows = scan_table(opened, where=where, columns=names, snapshot_id=snapshot, resources=engine_resources())
    document: dict[str, Any] = {"table": str(name), "snapshot_id": rows.snapshot_id}
    if count:
        document["rows"] = rows.count()
        emit(document, as_json=as_json, render=lambda: output_console().print(document["rows"]))
    elif output:
        with progress(f"reading {name}"):
            document |= {"rows": rows.to_parquet(output), "output": str(output)}
        emit(document, as_json=as_json, render=lambda: output_console().print(f"{document['rows']:,} rows in {output}"))
    else:
        shown = rows.head(limit)
        document["columns"] = [field.name for field in rows.schema.fields]
        emit(
            document,
            as_json=as_json,
            render=lambda: _render_rows(document["columns"], shown),
            data={"first_rows": _plain(shown)},
        )


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


def _render_rows(columns: list[str], rows: list[dict[str, Any]]) -> None:
    from rich.table import Table as Grid

    grid = Grid(*columns, box=None)
    for row in rows:
        grid.add_row(*("NULL" if value is None else str(_plain(value)) for value in row.values()))
    output_console().print(grid)


@app.command()
def compact(
    table: TableArgument,
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
    engine: Annotated[str | None, typer.Option("--engine", help="duckdb or spark; overrides the table's.")] = None,
    partition: Annotated[
        list[str] | None,
        typer.Option("--partition", metavar="NAME", help="Only this partition, as --dry-run names it; repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Merge small files and apply deletes, while the writer keeps writing."""
    from autostream.lake.compact import compact_table
    from autostream.lake.options import CompactionOptions

    overrides = _pairs(option or []) | ({"engine": engine} if engine else {})
    opened, name = _open(table)
    options = CompactionOptions.from_properties(opened.properties, overrides)
    with progress(f"compacting {name}") as report:
        result = compact_table(
            opened,
            name,
            options=options,
            where=where,
            partitions=partition,
            dry_run=dry_run,
            resources=engine_resources(),
            report_progress=report,
        )
    document = result.to_dict()
    if dry_run and result.plan:
        document["plan"] = result.plan.to_dict(files=True)
    emit(document, as_json=as_json, render=lambda: _render_result(document))
    if result.error and result.exit_code:
        from autostream.cli.output import print_error

        print_error(result.error)
    raise typer.Exit(result.exit_code)


def _render_result(document: Mapping[str, Any]) -> None:
    console = output_console()
    before, after, groups = document["before"], document["after"], document["groups"]
    if document["status"] == "planned":
        _render_plan(document)
        return
    console.print(f"[bold]{document['table']}[/bold]: {document['status']}")
    if document["status"] == "nothing-to-do":
        return
    for problem in document.get("problems", []):
        log_console().print(
            f"group {problem['group']}: {problem['kind']}: {problem['reason']}", markup=False, soft_wrap=True
        )
    for label, key in (
        ("data files", "data_files"),
        ("equality-delete files", "equality_delete_files"),
        ("position-delete files", "position_delete_files"),
    ):
        console.print(f"  {label:<24}{before[key]:>12,} -> {after[key]:,}")
    console.print(f"  {'size':<24}{format_size(before['bytes']):>12} -> {format_size(after['bytes'])}")
    seconds = document["seconds"]
    console.print(
        f"  {groups['committed']} of {groups['planned']} groups, {document['rows_read']:,} rows read, "
        f"{document['rows_deleted']:,} deleted; plan {seconds['plan']:.1f} s, rewrite {seconds['rewrite']:.1f} s, "
        f"commit {seconds['commit']:.1f} s; peak memory {format_size(document['peak_memory_bytes'])}"
    )


def _render_plan(document: Mapping[str, Any]) -> None:
    from rich.table import Table as Grid

    console, plan = output_console(), document["plan"]
    console.print(f"[bold]{document['table']}[/bold]: plan for snapshot {plan['snapshot_id']}; nothing was changed")
    grid = Grid("group", "partition", "files", "size", "records", "eq-del", "pos-del", "seq", "reason", box=None)
    for group in plan["groups"][:_MOST_ROWS]:
        grid.add_row(
            str(group["group"]),
            group["partition"],
            f"{group['data_files']:,}",
            format_size(group["bytes"]),
            f"{group['records']:,}",
            f"{group['equality_delete_files']:,}",
            f"{group['position_delete_files']:,}",
            str(group["data_sequence_number"]),
            group["reason"],
        )
    console.print(grid)
    _say_rest(len(plan["groups"]))
    for name, reason in list(plan["skipped"].items())[:_MOST_ROWS]:
        console.print(f"  keep {name}: {reason}")
    deletes = plan["deletes"]
    console.print(
        f"{deletes['applied']:,} delete files would be applied, {deletes['removed']:,} let go, {deletes['kept']:,} "
        "kept, as they can still apply to other data files."
    )
