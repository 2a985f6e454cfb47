import pytest

from autostream.console import view
from autostream.console.language import translator
from autostream.times import FOREVER_MS
from autostream.watermark.marks import MarkSource, TableMark, WriterMark, WriterStatus

NOW = 1_790_002_800_000
MINUTE = 60_000
t = translator("en")


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, ""),
        (FOREVER_MS, ""),
        (NOW, "now"),
        (NOW + 999, "now"),
        (NOW - 90 * MINUTE, "1 h 30 min ago"),
        (NOW + 5 * MINUTE, "5 min ahead"),
    ],
)
def test_how_long_ago(ms: int | None, said: str) -> None:
    assert view.ago(ms, NOW, t).replace("\N{NO-BREAK SPACE}", " ") == said


def test_the_writer_that_holds_a_table_back_is_first_and_retired_ones_are_last() -> None:
    mark = TableMark(
        "t",
        MarkSource.WRITERS,
        1,
        (
            WriterMark("retired", 0, status=WriterStatus.RETIRED),
            WriterMark("fast", 9),
            WriterMark("slow", 1),
            WriterMark("new", 0, status=WriterStatus.CATCHING_UP),
        ),
    )

    rows = view.writers(mark, NOW, t)

    assert [row["writer"] for row in rows] == ["slow", "fast", "retired", "new"]
    assert [row["writer"] for row in rows if row["holds_back"]] == ["slow"]
    assert [row["class"] for row in rows] == ["good", "good", "quiet", "waiting"]


def test_one_writer_alone_holds_nothing_back() -> None:
    assert not view.writers(TableMark("t", MarkSource.WRITERS, 1, (WriterMark("w", 1),)), NOW, t)[0]["holds_back"]
