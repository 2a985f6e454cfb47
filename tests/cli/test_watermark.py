"""``autostream watermark``: what it prints, and how it ends."""

import getpass
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from typer.testing import CliRunner

from autostream.cli.watermark import app
from autostream.errors import AutostreamError, ConfigurationError, ConflictError, DeniedError, TimedOutError, UsageError
from autostream.times import FOREVER_MS, parse_instant
from autostream.watermark.changes import WriterReport, apply_reports
from autostream.watermark.publish import publish
from tests.support.catalogs import IDS
from tests.support.clocks import FakeClock
from tests.support.commands import autostream, autostream_here

T = "2026-11-23T02:00:00Z"
T_MS = parse_instant(T)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration but PyIceberg's own, and a history of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOSTREAM_CONFIG", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def table(lake: SqlCatalog) -> SqlCatalog:
    lake.create_table("db.t", IDS)
    return lake


def run(*arguments: str) -> Any:
    """Run a command in this process; return the document, or the text, and raise its error."""
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, AutostreamError):
        raise result.exception
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


def set_writer(writer: str, at: str, *more: str, table: str = "lake.db.t") -> Any:
    return run("set", table, "--writer", writer, "--at", at, "--json", *more)


# ------------------------------------------------------------------------------------------------ as users run it


def test_a_table_from_its_first_watermark_to_its_last(table: SqlCatalog) -> None:
    unknown = autostream_here("watermark", "get", "lake.db.t", "--json")
    assert (unknown.exit_code, unknown.document["watermark"], unknown.document["source"]) == (4, None, None)

    done = autostream_here("watermark", "set", "lake.db.t", "--writer", "ingest-orders", "--at", T, "--json")
    assert (done.exit_code, done.document["changed"], done.document["watermark_ms"]) == (0, True, T_MS)

    known = autostream_here("watermark", "get", "lake.db.t", "--json")
    writer = known.document["writers"]["ingest-orders"]
    assert known.exit_code == 0
    assert {key: known.document[key] for key in ("table", "watermark", "watermark_ms", "source", "problems")} == {
        "table": "lake.db.t",
        "watermark": T,
        "watermark_ms": T_MS,
        "source": "writers",
        "problems": [],
    }
    assert (writer["watermark_ms"], writer["active"], writer["status"]) == (T_MS, True, "active")
    assert writer["recorded_at_ms"] > T_MS - 10**12

    met = autostream_here("watermark", "wait", "lake.db.t", "--until", T, "--timeout", "60", "--json")
    assert (met.exit_code, met.document["met"], met.document["tables"]) == (0, True, ["lake.db.t"])

    late = autostream("watermark", "wait", "lake.db.t", "--hour", T, "--timeout", "0", "--json")
    assert (late.exit_code, late.document["met"], late.document["held_back_by"]) == (124, False, "ingest-orders")
    assert "Not complete within 0 s: lake.db.t: watermark 02:00, need 03:00 UTC, 1 h short, held back by" in late.stderr

    nothing = autostream_here("watermark", "reset", "lake.db.t", "--to", T, "--reason", "x")
    assert nothing.exit_code == 3
    assert "Cannot set anything back to 2026-11-23T02:00:00Z" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("get", "lake.db.missing"), "Table lake.db.missing does not exist"),
        (("wait", "lake.db.t", "--until", "soon"), "Invalid time 'soon'"),
        (("record",), "Nothing to record: no Flink cluster is configured"),
    ],
)
def test_what_cannot_be_done_ends_by_2(table: SqlCatalog, arguments: tuple[str, ...], says: str) -> None:
    done = autostream_here("watermark", *arguments, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


# ------------------------------------------------------------------------------------------------ get


def test_what_people_see(table: SqlCatalog) -> None:
    set_writer("ingest", T)
    set_writer("late", "2026-11-23T01:00Z")
    shown = run("get", "lake.db.t", "--time-zone", "Europe/Berlin")
    assert "lake.db.t: complete up to 2026-11-23 03:00 Europe/Berlin, " in shown
    assert "(from writers)" in shown
    rows = {line.split()[0]: line for line in shown.splitlines() if line.split()}
    assert "2026-11-23 03:00" in rows["ingest"]
    assert "active" in rows["ingest"]
    assert "2026-11-23 02:00" in rows["late"]
    assert "catching-up" in rows["late"]


def test_what_people_see_of_a_table_of_which_nothing_is_known(table: SqlCatalog) -> None:
    assert "lake.db.t: its watermark is not known" in run("get", "lake.db.t")


def test_garbage_in_properties_is_shown(table: SqlCatalog) -> None:
    table.load_table("db.t").transaction().set_properties({"autostream.watermark": "soon"}).commit_transaction()
    problem = "table property autostream.watermark is 'soon', which is not a time in epoch milliseconds"
    assert run("get", "lake.db.t", "--json")["problems"] == [problem]
    assert f"problem: {problem}" in run("get", "lake.db.t")


OUTSIDE = [-(2**63), 2**63 - 1, 316_516_464_000_000, 10**40]
"""Times that no `datetime` can be, among them one of the year 12000."""


@pytest.mark.parametrize("value", OUTSIDE)
def test_times_outside_of_the_calendar_stop_nothing(table: SqlCatalog, value: int) -> None:
    state = json.dumps({"recorded-at-ms": value, "before-end-ms": value})
    properties = {
        "autostream.watermark": str(value),
        "autostream.watermark.writer.a": str(value),
        "autostream.watermark.writer-state.a": state,
        "autostream.watermark.reset": json.dumps({"at-ms": value, "from-ms": value, "to-ms": value}),
    }
    table.load_table("db.t").transaction().set_properties(properties).commit_transaction()
    (writer,) = run("get", "lake.db.t", "--json")["writers"].values()
    assert writer["recorded_at_ms"] is None
    for command in ("get", "history"):
        assert run(command, "lake.db.t")
        assert run(command, "lake.db.t", "--json")


@pytest.mark.parametrize("value", [str(2**63 - 1), "316516464000000", "+12000-01-01T00:00:00Z", "9" * 5000])
def test_times_outside_of_the_calendar_are_derived_from_nothing(
    table: SqlCatalog, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__PROPERTY_KEYS", "wm")
    table.load_table("db.t").transaction().set_properties({"wm": value}).commit_transaction()
    assert run("get", "lake.db.t", "--json")["watermark_ms"] is None
    assert run("get", "lake.db.t")
    assert run("history", "lake.db.t")


def test_a_time_zone_that_there_is_not(table: SqlCatalog) -> None:
    with pytest.raises(UsageError, match="Unknown time zone 'Mars'"):
        run("get", "lake.db.t", "--time-zone", "Mars")


# ------------------------------------------------------------------------------------------------ set, retire, reset


@pytest.mark.parametrize(
    ("at", "options", "watermark_ms"),
    [
        (T, (), T_MS),
        (str(T_MS), (), T_MS),
        ("2026-11-23T03:00", ("--time-zone", "Europe/Berlin"), T_MS),
        ("Forever", (), FOREVER_MS),
    ],
)
def test_times_that_are_set(table: SqlCatalog, at: str, options: tuple[str, ...], watermark_ms: int) -> None:
    assert set_writer("x", at, *options)["watermark_ms"] == watermark_ms


def test_a_watermark_that_is_set_never_goes_back(table: SqlCatalog) -> None:
    set_writer("x", T)
    again = set_writer("x", "2026-11-23T01:00Z")
    assert (again["changed"], again["watermark_ms"]) == (False, T_MS)
    why = (
        "The watermark of writer x stays at 2026-11-23 02:00 UTC: 2026-11-23 01:00 is earlier, and a watermark "
        "never goes back on its own. To set it back, use `autostream watermark reset lake.db.t --writer x --to "
        "2026-11-23T01:00:00Z --reason TEXT`."
    )
    assert again["reason"] == why
    text = run("set", "lake.db.t", "--writer", "x", "--at", "2026-11-23T01:00Z")
    assert " ".join(text.split()).startswith(why)
    assert run("set", "lake.db.t", "--writer", "x", "--at", T).startswith("No change: this watermark is already")


def test_a_time_that_is_still_to_come_needs_force(table: SqlCatalog) -> None:
    before = table.load_table("db.t").metadata_location
    with pytest.raises(UsageError, match=r"Invalid watermark '9000-01-01': .* ahead of now; .* or add --force"):
        set_writer("x", "9000-01-01")
    assert table.load_table("db.t").metadata_location == before
    assert set_writer("x", "9000-01-01", "--force")["watermark"] == "9000-01-01T00:00:00Z"
    assert " UTC, in 25" in run("get", "lake.db.t")


@pytest.mark.parametrize(
    ("writer", "at", "says"),
    [
        ("x", "soon", "Invalid time 'soon'"),
        ("x", "1795399200000000", "Invalid time '1795399200000000'"),
        ("x", "", "Invalid time ''"),
        (" ", T, "Invalid writer name"),
        ("x" * 129, T, "has 129 characters"),
    ],
)
def test_what_cannot_be_set(table: SqlCatalog, writer: str, at: str, says: str) -> None:
    before = table.load_table("db.t").metadata_location
    with pytest.raises(UsageError, match=says):
        set_writer(writer, at)
    assert table.load_table("db.t").metadata_location == before


@pytest.mark.parametrize("name", ["lake.db.missing", "lake.t", "lake..t"])
def test_tables_that_there_are_not(table: SqlCatalog, name: str) -> None:
    with pytest.raises(UsageError, match=r"does not exist|Invalid table name"):
        set_writer("x", T, table=name)


def test_a_catalog_that_is_not_configured(table: SqlCatalog) -> None:
    for arguments in (("get", "nope.db.t"), ("wait", "nope.db.t", "--until", T, "--timeout", "0")):
        with pytest.raises(ConfigurationError, match="Unknown catalog 'nope'"):
            run(*arguments)


def test_a_writer_is_retired(table: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    set_writer("a", "2026-11-23T01:00Z")
    set_writer("b", T)
    monkeypatch.setattr(getpass, "getuser", lambda: "alice")
    monkeypatch.setattr(socket, "gethostname", lambda: "desk")
    document = run("retire", "lake.db.t", "--writer", "a", "--reason", "moved", "--json")
    assert (document["changed"], document["watermark"]) == (True, T)
    assert document["writers"]["a"]["status"] == "retired"
    assert document["writers"]["a"]["note"] == "retired by alice@desk: moved"
    with pytest.raises(UsageError, match=r"no writer 'c'\. Writers: a, b\."):
        run("retire", "lake.db.t", "--writer", "c", "--reason", "moved")


def test_a_table_is_set_back_and_it_is_on_record(table: SqlCatalog) -> None:
    set_writer("a", T)
    document = run("reset", "lake.db.t", "--to", "2026-11-23T01:00Z", "--reason", "reload", "--json")
    assert document["watermark"] == "2026-11-23T01:00:00Z"
    record = json.loads(table.load_table("db.t").properties["autostream.watermark.reset"])
    assert (record["from-ms"], record["to-ms"], record["reason"]) == (T_MS, T_MS - 3_600_000, "reload")
    with pytest.raises(ConflictError):
        run("reset", "lake.db.t", "--to", T, "--reason", "x", "--writer", "a")


def test_a_user_without_a_name_is_a_number(table: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1000620000")

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 1000620000)
    set_writer("a", T)
    document = run("retire", "lake.db.t", "--writer", "a", "--reason", "moved", "--json")
    assert document["writers"]["a"]["note"].startswith("retired by 1000620000@")


# ------------------------------------------------------------------------------------------------ wait


def test_a_property_that_is_still_to_come_completes_nothing(table: SqlCatalog, clock: FakeClock) -> None:
    with table.load_table("db.t").transaction() as change:
        change.set_properties({"autostream.watermark": "20261125020000"})
    result = CliRunner().invoke(app, ["get", "lake.db.t"])
    assert (result.exit_code, "2612-" in result.stdout) == (4, True)
    with pytest.raises(TimedOutError, match="in the future, so it does not count"):
        run("wait", "lake.db.t", "--until", T, "--timeout", "0")
    assert "2612" not in run("history", "lake.db.t")


@pytest.mark.parametrize(("option", "seconds"), [("--timeout", "nan"), ("--timeout", "-1"), ("--poll", "inf")])
def test_seconds_are_a_number(table: SqlCatalog, option: str, seconds: str) -> None:
    result = autostream_here("watermark", "wait", "lake.db.t", "--until", T, option, seconds)
    assert (result.exit_code, f"Invalid value for '{option}'" in result.stderr) == (2, True)


def test_what_is_waited_for_comes_meanwhile(table: SqlCatalog, clock: FakeClock) -> None:
    def reach(text: str) -> None:
        report = WriterReport("x", parse_instant(text))
        publish(table.load_table("db.t"), lambda p: apply_reports(p, [report], now_ms=T_MS))

    clock.then = {1: lambda: reach("2026-11-23T01:00Z"), 3: lambda: reach(T)}
    document = run("wait", "lake.db.t", "--until", T, "--poll", "7", "--json")
    assert (document["met"], document["watermark"], document["need"]) == (True, T, T)
    assert clock.slept == [7, 7, 7]


def test_waiting_ends_when_its_time_is_up(table: SqlCatalog, clock: FakeClock) -> None:
    with pytest.raises(TimedOutError, match=r"Not complete within 12 s: lake\.db\.t: its watermark is not known"):
        run("wait", "lake.db.t", "--until", T, "--timeout", "12", "--poll", "5")
    assert clock.slept == [5, 5, 2]


@pytest.mark.parametrize(
    ("arguments", "met", "need"),
    [
        (("--hour", "2026-11-23T01:59Z"), True, T),
        (("--hour", "2026-11-23T01:59Z", "--lateness", "5 min"), False, "2026-11-23T02:05:00Z"),
        (("--day", "2026-11-22"), True, "2026-11-23T00:00:00Z"),
        (("--day", "2026-04-24", "--time-zone", "Africa/Cairo"), True, "2026-04-24T21:00:00Z"),
        (("--day", "2026-11-22", "--time-zone", "America/New_York"), False, "2026-11-23T05:00:00Z"),
        (("--until", T, "--writer", "x"), True, T),
        (("--until", T, "--writer", "x", "--writer", "y"), False, T),
        (("--until", T, "lake.db.u"), False, T),
        (("--until", T, "lake.db.u", "--any"), True, T),
        (("--until", T, "lake.db.t"), True, T),
    ],
)
def test_what_may_be_waited_for(
    table: SqlCatalog, clock: FakeClock, arguments: tuple[str, ...], met: bool, need: str
) -> None:
    table.create_table("db.u", IDS)
    set_writer("x", T)
    result = CliRunner().invoke(app, ["wait", "lake.db.t", *arguments, "--timeout", "0", "--json"])
    document = json.loads(result.stdout)
    assert (document["met"], document["need"]) == (met, need)
    assert isinstance(result.exception, TimedOutError) is not met


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "by one of --until, --hour and --day, not by none"),
        (("--until", T, "--day", T), "not by --until and --day"),
        (("--until", T, "--lateness", "-1s"), "Invalid duration"),
        (("--hour", "soon"), "Invalid time 'soon'"),
    ],
)
def test_what_cannot_be_waited_for(table: SqlCatalog, clock: FakeClock, arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run("wait", "lake.db.t", *arguments)


def test_a_table_that_is_not_there_is_not_waited_for(table: SqlCatalog, clock: FakeClock) -> None:
    with pytest.raises(UsageError, match=r"lake\.db\.missing does not exist"):
        run("wait", "lake.db.t", "lake.db.missing", "--until", T)
    assert clock.slept == []


def test_a_catalog_that_is_down_is_waited_for(
    table: SqlCatalog, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_writer("x", T)
    uri = table.properties["uri"]
    monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", "sqlite:////nowhere/lake.db")
    with pytest.raises(
        TimedOutError, match=r"could not read its watermark, .* \(Cannot open catalog 'lake': .*unable to open"
    ):
        run("wait", "lake.db.t", "--until", T, "--timeout", "10")
    clock.then = {len(clock.slept) + 2: lambda: monkeypatch.setenv("PYICEBERG_CATALOG__LAKE__URI", uri)}
    assert run("wait", "lake.db.t", "--until", T, "--json")["met"] is True


def test_a_catalog_that_denies_us_is_not_waited_for(table: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> None:
        raise DeniedError("not you")

    monkeypatch.setattr("autostream.watermark.reading.table_marks.read_mark", deny)
    with pytest.raises(DeniedError, match="not you"):
        run("wait", "lake.db.t", "--until", T, "--timeout", "10")


# ------------------------------------------------------------------------------------------------ record


def test_what_is_recorded_is_told_at_the_end(table: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_FLINK__CLUSTERS__PROD__URL", "http://127.0.0.1:1")
    assert run("record", "--for", "0", "--json") == {"publications": [], "not_advancing": {}}
    assert "0 publications." in run("record", "--for", "0")


# ------------------------------------------------------------------------------------------------ list


def test_list_has_the_table_that_lags_most_first(table: SqlCatalog) -> None:
    for name in ("late", "unknown", "ended"):
        table.create_table(f"db.{name}", IDS)
    set_writer("a", T)
    set_writer("slow", "2026-11-23T01:00Z", table="lake.db.late")
    set_writer("quick", T, table="lake.db.late")
    set_writer("a", "forever", table="lake.db.ended")
    document = run("list", "lake.db.*", "--json")
    found = [(row["table"], row["watermark_ms"], row["held_back_by"]) for row in document["tables"]]
    assert found == [
        ("lake.db.late", T_MS - 3_600_000, "slow"),
        ("lake.db.t", T_MS, "a"),
        ("lake.db.ended", FOREVER_MS, None),
        ("lake.db.unknown", None, None),
    ]
    late, soon, ended, unknown = (row["lag_ms"] for row in document["tables"])
    assert (late - soon, ended, unknown) == (3_600_000, 0, None)
    shown = run("list", "--namespace", "db").splitlines()
    assert [line.split()[0] for line in shown] == ["table", *(name for name, _, _ in found)]


def test_list_goes_on_after_a_table_that_cannot_be_read(table: SqlCatalog) -> None:
    broken = table.create_table("db.broken", IDS)
    Path(broken.metadata_location.removeprefix("file://")).unlink()
    done = autostream("watermark", "list", "--json")
    assert done.exit_code == 1
    assert [(row["table"], bool(row["error"])) for row in done.document["tables"]] == [
        ("lake.db.broken", True),
        ("lake.db.t", False),
    ]
