"""The settings in words: the file that `config init` writes, and the reference in the documentation."""

import re
import runpy
import tomllib
from pathlib import Path

from autostream.config import Settings, load_settings
from autostream.config.reference import commented_toml, markdown
from autostream.config.root import entry_model, section_models

ROOT = Path(__file__).parents[2]


def uncommented(text: str) -> str:
    return re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)


def test_the_documentation_is_that_of_the_code() -> None:
    docs = runpy.run_path(str(ROOT / "scripts" / "docs.py"))
    for name in docs["PARTS"]:
        file, before, after = docs["written"](name)
        assert before == after, f"{file} is not current: run `make docs`"


def test_the_reference_has_every_key_with_its_meaning() -> None:
    lines = markdown().splitlines()
    for section, model in section_models().items():
        for key, field in model.model_fields.items():
            (line,) = [line for line in lines if line.startswith(f"| `{section}.{key}` |")]
            assert line.endswith(f"| {field.description} |")
    assert "| `engine.memory_limit` | `640MB` |" in markdown()
    assert "| `zookeeper.hosts` | – |" in markdown()
    assert "| `name` | required |" in markdown()


def test_the_file_as_it_is_written_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "autostream.toml"
    file.write_text(commented_toml())
    settings = load_settings(environ={}, directory=tmp_path)
    assert settings.model_dump() == Settings().model_dump()
    assert {value.origin for value in settings.values()} == {"default"}


def test_every_key_of_the_file_is_its_default_when_it_is_uncommented(tmp_path: Path) -> None:
    (tmp_path / "autostream.toml").write_text(uncommented(commented_toml()))
    written = tomllib.loads((tmp_path / "autostream.toml").read_text())
    settings, defaults = load_settings(environ={}, directory=tmp_path), Settings()
    for section, model in section_models().items():
        assert set(written[section]) == set(model.model_fields)
        for key in model.model_fields:
            if entry := entry_model(section, key):
                assert set(written[section][key][0]) == set(entry.model_fields)
            else:
                assert getattr(getattr(settings, section), key) == getattr(getattr(defaults, section), key)
    assert settings.flink.clusters[0].url == ("http://jobmanager:8081",)


def test_the_file_says_what_each_key_means() -> None:
    text = " ".join(line.removeprefix("# ") for line in commented_toml().splitlines())
    for model in section_models().values():
        for field in model.model_fields.values():
            assert f"{field.description}" in text
    assert "Set AUTOSTREAM_ZOOKEEPER__PASSWORD instead of writing it here." in text
    assert max(map(len, commented_toml().splitlines())) <= 100
