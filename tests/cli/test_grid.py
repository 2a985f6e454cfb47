"""Tables at any width: nothing is cut, names are whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from autostream.cli.grid import LABEL, NAME, NUMBER, TEXT, Column, lay_out

COLUMNS = (Column("table", NAME), Column("data files", NUMBER), Column("state"), Column("reason", TEXT))
SHORT = ["lake.db.t", "12", "kept", "too few"]
LONG = [
    "lake.shop." + "orders_of_all_countries_" * 2,
    "1,234",
    "kept",
    "three of the files could be merged, as five are",
]


def drawn(width: int | None, *rows: list[str], columns: tuple[Column, ...] = COLUMNS) -> list[str]:
    return [line.plain for line in lay_out(columns, rows, width)]


def test_what_fits_stands_in_columns_with_numbers_to_the_right() -> None:
    assert drawn(80, SHORT, ["lake.db.users", "7", "merged", "as\nit\x1b[31m is"]) == [
        "table          data files  state   reason",
        "lake.db.t              12  kept    too few",
        "lake.db.users           7  merged  as\\nit\\x1b[31m is",
    ]


def test_headings_and_texts_are_wrapped_first() -> None:
    assert drawn(58, [*SHORT[:3], LONG[3]]) == [
        "            data",
        "table      files  state  reason",
        "lake.db.t     12  kept   three of the files could be",
        "                         merged, as five are",
    ]


def test_then_the_text_goes_below_its_row() -> None:
    assert drawn(40, [*SHORT[:3], LONG[3]]) == [
        "table      data files  state",
        "lake.db.t          12  kept",
        "    three of the files could be merged,",
        "    as five are",
    ]


def test_then_names_stand_above_their_rows() -> None:
    assert drawn(40, LONG) == [
        "table",
        "  data files  state",
        LONG[0],
        "       1,234  kept",
        "    three of the files could be merged,",
        "    as five are",
    ]


def test_at_last_each_cell_has_a_line_of_its_own() -> None:
    assert drawn(6, SHORT[:2], SHORT[:2], columns=COLUMNS[:2]) == [
        "table:",
        "  lake.db.t",
        "data",
        "  files:",
        "  12",
        "",
        "table:",
        "  lake.db.t",
        "data",
        "  files:",
        "  12",
    ]


def test_in_a_pipe_there_is_no_edge() -> None:
    assert drawn(None, LONG)[1].split(maxsplit=3) == LONG


WORDS = st.text(alphabet="ab[/]\\é漢", min_size=1, max_size=30)
ROWS = st.lists(st.lists(st.lists(WORDS, max_size=9).map(" ".join), min_size=4, max_size=4), max_size=4)
SHORTS = st.text("ab漢", max_size=11)
KINDS = st.lists(st.sampled_from([NAME, LABEL, NUMBER, TEXT]), min_size=4, max_size=4)


@settings(max_examples=50)
@given(kinds=KINDS, rows=ROWS, width=st.one_of(st.none(), st.integers(1, 120)))
def test_nothing_is_lost_and_names_stay_whole(kinds: list, rows: list[list[str]], width: int | None) -> None:
    columns = tuple(Column(f"column {n}", kind) for n, kind in enumerate(kinds))
    lines = drawn(width, *rows, columns=columns)
    printed = "".join("".join(lines).split())
    for row in rows:
        for kind, cell in zip(kinds, row, strict=True):
            if kind is not TEXT and len(cell.split()) == 1:
                assert any(cell.strip() in line for line in lines)
            assert all(character in printed for character in set(cell) - {" "})
    assert sum(map(cell_len, printed)) >= sum(cell_len("".join(cell.split())) for row in rows for cell in row)


@settings(max_examples=30)
@given(
    rows=st.lists(st.tuples(*[st.text("ab漢", max_size=11)] * 3, st.lists(WORDS).map(" ".join))), width=st.integers(76)
)
def test_where_names_are_short_no_line_is_too_long(rows: list[list[str]], width: int) -> None:
    assert all(cell_len(line) <= width for line in drawn(width, *rows))


@pytest.mark.parametrize("width", [60, 80, None])
def test_a_row_of_nothing_is_a_line(width: int | None) -> None:
    assert drawn(width, [""], ["x"], columns=(Column("only", TEXT),)) == ["only", "", "x"]
