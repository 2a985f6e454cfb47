import re
from collections.abc import Callable
from html import unescape

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from autostream.times import FOREVER_MS
from autostream.watermark.changes import WriterReport, apply_reports, reset_watermark, retire_writer
from tests.console.support import MINUTE, T0, Browser, text

API = "/api/tables/lake.db.t/watermark"


def test_the_page_of_a_table(filled: Browser, change: Callable[..., None]) -> None:
    change(retire_writer, "fast", by="ann", reason="replaced")

    said = text(filled.get("/tables/lake.db.t").text)

    assert "Complete up to 2026-09-21 15:00 30 min ago · reported by its writers" in said
    assert "slow active 2026-09-21 15:00 30 min ago 19 min ago abc idle since 15:00" in said
    assert "fast retired 2026-09-21 15:10 20 min ago 19 min ago retired by ann: replaced" in said
    assert "2026-09-21 15:20 retire fast 2026-09-21 15:10 ann, replaced" in said
    assert "2026-09-21 15:11 advance table 2026-09-21 15:00" in said
    # The newest is first.
    assert said.index("retire fast") < said.index("advance table")


def test_the_page_tells_who_holds_a_table_back(filled: Browser) -> None:
    said = text(filled.get("/tables/lake.db.t").text)

    assert "slow holds the table back active" in said
    assert "fast active" in said


def test_the_page_of_a_table_of_which_nothing_is_known(client: Browser) -> None:
    said = text(client.get("/tables/lake.db.t").text)

    assert "Complete up to not known nobody reports one" in said
    assert "Nothing is known of its history." in said


def test_the_page_of_a_table_whose_writers_have_ended(client: Browser, change: Callable[..., None]) -> None:
    change(apply_reports, [WriterReport("load", FOREVER_MS)])

    assert "the end of all data all its writers have ended" in text(client.get("/tables/lake.db.t").text)


def test_the_page_answers_a_question(filled: Browser, change: Callable[..., None]) -> None:
    met = text(filled.get("/tables/lake.db.t?until=2026-09-21T15:00&lateness=").text)
    short = filled.get("/tables/lake.db.t?until=2026-09-21T15:00&lateness=5min").text

    assert "complete lake.db.t: watermark 15:00, need 15:00 UTC: complete" in met
    assert "is complete up to 2026-09-21 15:00 UTC since 2026-09-21 15:11 UTC" in met
    assert "not complete yet lake.db.t: watermark 15:00, need 15:05 UTC (15:00 + 5 min), 5 min short" in text(short)
    assert 'value="5min"' in short
    assert text(filled.get("/tables/lake.db.t?until=&lateness=").text).count("need 15") == 0

    change(reset_watermark, T0 - MINUTE, by="ann", reason="bad rows")
    change(apply_reports, [WriterReport("slow", T0), WriterReport("fast", T0)], at=T0 + 25 * MINUTE)
    again = text(filled.get("/tables/lake.db.t?until=2026-09-21T15:00").text)
    assert "since 2026-09-21 15:25 UTC; it had been since 2026-09-21 15:11" in again


def test_names_and_notes_are_escaped(client: Browser, change: Callable[..., None]) -> None:
    change(apply_reports, [WriterReport("<script>x()</script>", T0, note="<b>n</b>")], by="<i>ann</i>")

    for page in ("/tables/lake.db.t", "/", "/?q=<script>q()</script>", "/tables/<script>y"):
        html = client.get(page).text
        assert re.findall(r"<script>|<script(?! src=\"/static/)|<b>|<i>", html) == []
    assert "&lt;script&gt;x()&lt;/script&gt;" in client.get("/tables/lake.db.t").text.replace("<wbr>", "")


@pytest.mark.parametrize("name", ["[red]x[/red]", "a/watermark", "new\nline", "50%", "a?b#c", "<b>"])
def test_each_table_that_is_listed_has_its_page(client: Browser, lake: SqlCatalog, name: str) -> None:
    lake.create_table(("db", name), Schema(NestedField(1, "id", LongType())))
    links = re.findall(r'href="(/tables/[^"]*)"', client.get("/").text)
    pages = [client.get(unescape(link)) for link in links]
    assert [page.status_code for page in pages] == [200, 200]
    api = "/api" + next(link for link in links if link != "/tables/lake.db.t")
    for path in ("/watermark", "/watermark/history"):
        assert client.get(unescape(api) + path).json()["table"] == f"lake.db.{name}"
