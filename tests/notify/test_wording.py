"""The words of notices: complete in each language, and with nothing from outside that is markup."""

import html
import re
from string import Formatter
from typing import Any

import markdown
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autostream.findings import Severity
from autostream.notices import FIELDS, RECOVERIES, Notice, NoticeKind
from autostream.notify.wording import TEMPLATES, escaped, title_of, write_letter
from tests.notify.notices import NOW_MS, released

LANGUAGES = ("en", "zh-CN")
LETTERS = [(kind, language, style) for kind in NoticeKind for language in LANGUAGES for style in ("markdown", "text")]


def notice_of(kind: NoticeKind, **changes: Any) -> Notice:
    fields = {name: f"«{name}»" for name in FIELDS[kind]}
    return Notice(
        **({"kind": kind, "severity": Severity.ERROR, "subject": "x", "at_ms": NOW_MS, "fields": fields} | changes)
    )


def fields_in(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_kind_has_a_template_that_tells_all_of_it(language: str) -> None:
    sections = TEMPLATES[language]

    assert sections.keys() == {*NoticeKind, "layout", "severity"}
    assert {name: set(section) for name, section in sections.items()} == {
        name: set(section) for name, section in TEMPLATES["en"].items()
    }
    for kind in NoticeKind:
        assert fields_in("".join(sections[kind].values())) == FIELDS[kind], kind
    assert sections["severity"].keys() == {*Severity, "recovered"}


@pytest.mark.parametrize(("kind", "language", "style"), LETTERS)
def test_a_message_tells_everything(kind: NoticeKind, language: Any, style: Any) -> None:
    notice = notice_of(kind, link="/tables/a.b.c", undo="autostream x --undo 7", team="trade", owner="ann")
    letter = write_letter(notice, language=language, format=style, console_url="https://as.example.org/", repeats=3)

    for told in (*notice.fields.values(), "autostream x --undo 7", "trade", "ann", "3", "2026-11-23 02:00:00"):
        assert str(told) in letter.title + letter.body
    assert "https://as.example.org/tables/a.b.c" in letter.body
    assert ("**" in letter.body) is (style == "markdown")
    assert "\n" not in letter.title
    assert "{" not in letter.title + letter.body


def test_what_there_is_nothing_to_say_of_is_left_out() -> None:
    letter = write_letter(notice_of(NoticeKind.WATERMARK_CAUGHT_UP), console_url="https://as.example.org")

    assert [
        word for word in ("Why", "What to do", "take it back", "https:", "team", "meantime") if word in letter.body
    ] == []
    assert letter.title.startswith("All right again: ")


def test_a_recovery_is_told_as_one_and_goes_where_the_alarm_went() -> None:
    assert {kind for kind in NoticeKind if title_of(notice_of(kind)).startswith("All right")} == RECOVERIES


def test_a_field_may_have_a_text_in_each_language() -> None:
    fields = {"table": "t", "holder": "h", "reason": {"en": "its job has ended", "zh-CN": "作业已结束"}}
    only_english = fields | {"reason": {"en": "its job has ended"}}

    assert "作业已结束" in write_letter(released(fields=fields), language="zh-CN").body
    assert "its job has ended" in write_letter(released(fields=fields)).body
    assert "its job has ended" in write_letter(released(fields=only_english), language="zh-CN").body


def test_an_english_message_in_full() -> None:
    notice = released(team="trade", undo="autostream lock show lake.db.orders")
    letter = write_letter(notice, format="markdown", console_url="https://as.example.org")

    assert letter.title == "Warning: Stale lock on lake.db.orders was released"
    assert letter.body.split("\n\n") == [
        "The lock janitor released a lock on lake.db.orders, which flink@tm-1 had left behind. Commits to the table "
        "go on.",
        "**Why**",
        "its job has ended",
        "**What to do**",
        "Nothing, if this happens once. If it happens again and again, find out why flink@tm-1 ends without releasing "
        "its lock.",
        "**To take it back**",
        "`autostream lock show lake.db.orders`",
        "[More about it](https://as.example.org/tables/lake.db.orders)",
        "autostream · 2026-11-23 02:00:00 UTC · team trade",
    ]


def shown(markup: str) -> str:
    """Return the text that a reader sees; fails where there is any element but paragraphs and ends of lines."""
    page = markdown.markdown(markup)
    assert re.sub(r"</?p>|<br />", "", page).count("<") == 0, page
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


hostile = st.text(alphabet="ab1 \n`*_[]()<>#+-.!|~\\&;:/='\"{}", max_size=40) | st.sampled_from(
    [
        "<script>x</script>",
        "[x](http://e)",
        "# x",
        "1. x",
        "- x",
        "> x",
        "```\nx\n```",
        "&lt;b&gt;",
        "x\n===",
        "a_b_c",
        "__x__",
    ]
)


@given(hostile)
def test_nothing_from_outside_is_markup(text: str) -> None:
    assert shown(f"before {escaped(text)} after") == " ".join(f"before {text} after".split())


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_title_is_one_line_whatever_comes(table: str, holder: str) -> None:
    notice = released(fields={"table": table, "holder": holder, "reason": holder})
    letter = write_letter(notice, language="zh-CN", format="markdown")

    assert not re.search(r"[\r\n\x00\x1b\u2028\u202e]", letter.title)
    assert not re.search(r"[\r\x00\x1b\u2028\u202e]", letter.body)


def test_long_texts_are_cut_so_that_every_service_takes_the_message() -> None:
    long = "表" * 100_000
    letter = write_letter(
        notice_of(
            NoticeKind.LOCK_NOT_RELEASED, fields=dict.fromkeys(FIELDS[NoticeKind.LOCK_NOT_RELEASED], long), undo=long
        )
    )
    assert len(letter.title) <= 150
    assert len(letter.body) < 3300
    assert letter.body.endswith("2026-11-23 02:00:00 UTC")


def test_a_command_that_has_backticks_stays_one() -> None:
    letter = write_letter(released(undo="x `y` ``z"), format="markdown")
    assert "<code>x `y` ``z</code>" in markdown.markdown(letter.body)


def test_secrets_are_hidden() -> None:
    notice = released(fields={"table": "t", "holder": "h", "reason": "token=abcdef123456 in http://me:hunter99@h/"})
    assert not re.search("abcdef123456|hunter99", write_letter(notice).body)
