"""-v, --json and --output, wherever on the line they are; what is printed as JSON and as CSV."""

import csv
import io
import json
import logging

import pytest

from autostream.cli.documents import as_csv
from tests.support.commands import InProcess

SHOW = ["config", "show"]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("words", [["--json"], ["--output", "json"]])
def test_json_anywhere(autostream: InProcess, place: int, words: list[str]) -> None:
    code, out, _ = autostream(*SHOW[:place], *words, *SHOW[place:])
    assert (code, json.loads(out)["file"]) == (0, None)
    assert autostream(*SHOW)[1].startswith("engine.memory_limit"), (
        "the next command of this process prints as it is asked to"
    )


@pytest.mark.parametrize("place", [0, 1, 2])
def test_details_are_logged_wherever_they_are_asked_for(autostream: InProcess, place: int) -> None:
    assert autostream(*SHOW[:place], "-v", *SHOW[place:])[0] == 0
    assert (logging.getLogger("autostream").level, logging.getLogger().level) == (logging.DEBUG, logging.WARNING)
    autostream("-v", *SHOW, "--verbose")
    assert logging.getLogger().level == logging.DEBUG
    autostream(*SHOW)
    assert logging.getLogger("autostream").level == logging.INFO


def test_csv_has_a_line_an_entry(autostream: InProcess) -> None:
    code, out, _ = autostream("--output", "csv", *SHOW)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, rows[0]["section"], rows[0]["key"], rows[0]["origin"]) == (0, "engine", "memory_limit", "default")


def test_one_form_at_a_time(autostream: InProcess) -> None:
    code, out, err = autostream("--json", *SHOW, "--output", "csv")
    assert (code, out) == (2, "")
    assert "as json and as csv" in err
    assert autostream(*SHOW, "--output", "xml")[0] == 2


def test_a_command_that_prints_nothing_takes_details_alone(autostream: InProcess) -> None:
    code, _, err = autostream("serve", "--json")
    assert (code, "No such option: --json" in err) == (2, True)
    assert "--verbose" in autostream("serve", "--help")[1]


def test_csv_of_documents() -> None:
    rows = [{"a": 1, "b": {"c": None, "d": True}}, {"a": "x,y", "e": [1, {"f": 2}]}]
    assert as_csv({"rows": rows}, "rows") == 'a,b.c,b.d,e\n1,,true,\n"x,y",,,"[1, {""f"": 2}]"\n'
    assert as_csv({"rows": [], "other": 1}, "rows") == ""
    assert as_csv({"table": "t", "counts": {"files": 2}}) == "table,counts.files\nt,2\n"
