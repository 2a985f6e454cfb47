from pathlib import Path

import pytest

from autostream.config import (
    Settings,
    configured_catalogs,
    load_settings,
    pyiceberg_catalogs,
)
from autostream.errors import ConfigurationError


def load(directory: Path, text: str | None = None, **environ: str) -> Settings:
    if text is not None:
        (directory / "autostream.toml").write_text(text)
    return load_settings(environ=environ, directory=directory)


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    settings = load(tmp_path)

    assert settings.file is None
    assert settings.engine.memory_limit == "640MB"
    assert settings.engine.threads == 0
    assert settings.compaction.catalogs == ()
    assert {value.origin for value in settings.values()} == {"default"}


def test_every_key_says_what_it_means(tmp_path: Path) -> None:
    values = list(load(tmp_path).values())

    assert [f"{value.section}.{value.key}" for value in values if not value.description] == []
    assert len(values) == len({(value.section, value.key) for value in values}) >= 8


def test_the_environment_goes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        '[engine]\nmemory_limit = "2GiB"\nthreads = 4\n[compaction]\ncatalogs = ["lake"]\n',
        AUTOSTREAM_ENGINE__THREADS="1",
        AUTOSTREAM_COMPACTION__CATALOGS="lake, archive,",
    )

    assert settings.engine.memory_limit == "2GiB"
    assert settings.engine.threads == 1
    assert settings.compaction.catalogs == ("lake", "archive")
    assert settings.origin("engine", "memory_limit") == f"file {tmp_path / 'autostream.toml'}"
    assert settings.origin("engine", "threads") == "environment AUTOSTREAM_ENGINE__THREADS"
    assert settings.origin("engine", "spill_directory") == "default"
    shown = {f"{value.section}.{value.key}": value.value for value in settings.values()}
    assert shown["compaction.catalogs"] == ["lake", "archive"]


def test_the_named_file_counts_and_not_the_one_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "autostream.toml").write_text("[engine]\nthreads = 1\n")
    named = tmp_path / "other.toml"
    named.write_text("[engine]\nthreads = 2\n")

    settings = load(tmp_path, AUTOSTREAM_CONFIG=str(named))

    assert settings.engine.threads == 2
    assert settings.file == named


def test_variables_without_a_section_are_not_settings(tmp_path: Path) -> None:
    assert load(tmp_path, AUTOSTREAM_LOG="debug", AUTOSTREAM_COMPACTION_POOL="p", OTHER__KEY="x") == load(tmp_path)


@pytest.mark.parametrize(
    ("text", "environ", "parts"),
    [
        ("[engine]\nmemory_limt = '1GB'\n", {}, ["`engine.memory_limt`", "autostream.toml", "`memory_limit`?"]),
        ("[engin]\nthreads = 1\n", {}, ["`engin`", "autostream.toml", "`engine`?"]),
        ("[zzz]\nx = 1\n", {}, ["`zzz`", "There are: `engine`, `compaction`"]),
        ("engine = 3\n", {}, ["`engine`", "must be a section"]),
        ("[engine\n", {}, ["autostream.toml", "not valid TOML", "line 1"]),
        ("[engine]\nthreads = -1\n", {}, ["`engine.threads`", "-1", "autostream.toml", "greater than or equal to 0"]),
        ("[engine]\nmemory_limit = 'lots'\n", {}, ["`engine.memory_limit`", "'lots'"]),
        ("[compaction]\nmax_work_items = 5000\n", {}, ["`compaction.max_work_items`", "5000", "1024"]),
        (None, {"AUTOSTREAM_ENGINE__THREAD": "1"}, ["`engine.thread`", "AUTOSTREAM_ENGINE__THREAD", "`threads`?"]),
        (None, {"AUTOSTREAM_ENGIN__THREADS": "1"}, ["`engin`", "AUTOSTREAM_ENGIN__THREADS", "`engine`?"]),
        (None, {"AUTOSTREAM_ENGINE__THREADS": "all"}, ["`engine.threads`", "AUTOSTREAM_ENGINE__THREADS", "'all'"]),
        (None, {"AUTOSTREAM_CONFIG": "nowhere/a.toml"}, ["AUTOSTREAM_CONFIG", "nowhere/a.toml", "unset"]),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(
    tmp_path: Path, text: str | None, environ: dict[str, str], parts: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, text, **environ)

    assert [part for part in parts if part not in str(raised.value)] == []
    assert raised.value.exit_code == 2


def test_all_wrong_values_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"engine\.threads.*compaction\.batch_size_bytes"):
        load(tmp_path, "[engine]\nthreads = 'x'\n[compaction]\nbatch_size_bytes = 0\n")


def test_a_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "autostream.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match=r"autostream\.toml is not valid TOML"):
        load(tmp_path)


def test_settings_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).engine.threads = 3


def test_without_named_catalogs_all_of_pyiceberg_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    monkeypatch.setenv("PYICEBERG_CATALOG__WEST__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__EAST__URI", "http://east")

    assert {"east", "west"} <= set(configured_catalogs(load(tmp_path)))
    assert pyiceberg_catalogs()["east"] == {"uri": "http://east"}
    assert configured_catalogs(load(tmp_path, AUTOSTREAM_COMPACTION__CATALOGS="east")) == ("east",)


def test_a_wrong_pyiceberg_configuration_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text("catalog:\n  - lake\n")
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))

    with pytest.raises(ConfigurationError, match="must map names to properties"):
        pyiceberg_catalogs()

    (tmp_path / ".pyiceberg.yaml").write_text("catalog: [lake\n")
    with pytest.raises(ConfigurationError, match="Cannot read the configuration of PyIceberg"):
        pyiceberg_catalogs()


def test_a_key_that_a_rule_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSTREAM_WATERMARK__WRITERS", '[{"job": "x"}]')
    with pytest.raises(
        ConfigurationError, match=r"`watermark\.writers` \(.*\) needs the key `table`, which {'job': 'x'} does not"
    ):
        load_settings()
