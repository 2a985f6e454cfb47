"""Commands run in a directory of their own, and nothing is configured."""

from pathlib import Path

import pytest

from tests.support.commands import InProcess


@pytest.fixture(autouse=True)
def _as_found(logging_as_found: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AUTOSTREAM_CONFIG", "AUTOSTREAM_LOG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def autostream() -> InProcess:
    return InProcess()
