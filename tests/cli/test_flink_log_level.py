"""`autostream flink log-level`: set, listed, reset, and what is refused."""

from pathlib import Path

import pytest

from tests.diagnosis.test_log4j_text import FLINK
from tests.support.commands import Finished, autostream_here


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_found: None) -> Path:
    """The log configuration of a cluster `prod`, whose job managers are away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "log4j.properties"
    path.write_text(FLINK)
    (tmp_path / "autostream.toml").write_text(
        f'[[flink.clusters]]\nname = "prod"\nurl = "http://127.0.0.1:1"\nlog4j_file = "{path}"\n'
        f'[database]\nurl = "sqlite:///{tmp_path}/a.db"\n'
    )
    return path


def run(*words: str) -> Finished:
    return autostream_here("flink", "log-level", *words)


def test_a_level_comes_and_goes(file: Path) -> None:
    done = run("prod/orders", "com.acme", "debug", "--for", "10m", "--reason", "it is slow")
    assert done.exit_code == 0
    assert f"Changed in the file {file}. The processes of the cluster see it within 30 s." in done.stdout
    assert "com.acme  DEBUG" in done.stdout
    (change,) = run("--json").document["changes"]
    assert (change["logger"], change["level"], change["why"]) == ("com.acme", "DEBUG", "it is slow")
    reset = run("prod/orders", "--reset")
    assert reset.stdout == "Reset: com.acme, from DEBUG to no level of its own.\n"
    assert file.read_text() == FLINK
    assert run().stdout == "No level is changed.\n"


def test_a_configuration_that_others_have_written(file: Path) -> None:
    run("prod/orders", "root", "DEBUG")
    file.write_text("rootLogger.level = WARN\nmonitorInterval = 5\n")
    listed = run()
    assert (listed.exit_code, run("prod/orders", "--reset").exit_code) == (3, 3)
    assert "error: Log levels of cluster prod cannot be reset: Others have written the file" in listed.stdout
    forgotten = run("prod/orders", "--reset", "--forget")
    assert "Forgotten: 1 level. The configuration was not touched." in forgotten.stdout
    assert file.read_text() == "rootLogger.level = WARN\nmonitorInterval = 5\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("prod/orders", "com.acme"), "Give the level of com.acme, too"),
        (("--reset",), "Give JOB"),
        (("prod/orders", "--forget"), "--forget goes with --reset"),
        (("prod/orders", "com.acme", "LOUD"), "Unknown level 'LOUD'"),
        (("prod/orders", "com.acme", "DEBUG", "--for", "2d"), "cannot be set for 2 d"),
        (("uk/orders", "com.acme", "DEBUG"), "Unknown Flink cluster 'uk'"),
    ],
)
def test_what_is_refused(file: Path, words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert file.read_text() == FLINK
