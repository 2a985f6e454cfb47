"""-v, --json and --output, wherever on the line they are; what is printed as JSON and as CSV."""

import csv
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autostream.cli import main
from autostream.cli.documents import as_csv

SHOW = ["config", "show"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    root, own = logging.getLogger(), logging.getLogger("autostream")
    before = root.handlers[:], root.level, own.level

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["autostream", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.run_command()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    yield run
    root.handlers[:], root.level, own.level = before


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("words", [["--json"], ["--output", "json"]])
def test_json_anywhere(run: Run, place: int, words: list[str]) -> None:
    code, out, _ = run(*SHOW[:place], *words, *SHOW[place:])
    assert (code, json.loads(out)["file"]) == (0, None)
    assert run(*SHOW)[1].startswith("engine.memory_limit"), "the next command of this process prints as it is asked to"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_details_are_logged_wherever_they_are_asked_for(run: Run, place: int) -> None:
    assert run(*SHOW[:place], "-v", *SHOW[place:])[0] == 0
    assert (logging.getLogger("autostream").level, logging.getLogger().level) == (logging.DEBUG, logging.WARNING)
    run("-v", *SHOW, "--verbose")
    assert logging.getLogger().level == logging.DEBUG
    run(*SHOW)
    assert logging.getLogger("autostream").level == logging.INFO


def test_csv_has_a_line_an_entry(run: Run) -> None:
    code, out, _ = run("--output", "csv", *SHOW)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, rows[0]["section"], rows[0]["key"], rows[0]["origin"]) == (0, "engine", "memory_limit", "default")


def test_one_form_at_a_time(run: Run) -> None:
    code, out, err = run("--json", *SHOW, "--output", "csv")
    assert (code, out) == (2, "")
    assert "as json and as csv" in err
    assert run(*SHOW, "--output", "xml")[0] == 2


def test_a_command_that_prints_nothing_takes_details_alone(run: Run) -> None:
    code, _, err = run("serve", "--json")
    assert (code, "No such option: --json" in err) == (2, True)
    assert "--verbose" in run("serve", "--help")[1]


def test_csv_of_documents() -> None:
    rows = [{"a": 1, "b": {"c": None, "d": True}}, {"a": "x,y", "e": [1, {"f": 2}]}]
    assert as_csv({"rows": rows}, "rows") == 'a,b.c,b.d,e\n1,,true,\n"x,y",,,"[1, {""f"": 2}]"\n'
    assert as_csv({"rows": [], "other": 1}, "rows") == ""
    assert as_csv({"table": "t", "counts": {"files": 2}}) == "table,counts.files\nt,2\n"
