"""Whose code a command runs, where a checkout was copied with its `.venv`."""

from pathlib import Path

import pytest

from autostream.cli.checkout import require_own_code
from autostream.errors import ConfigurationError


@pytest.fixture
def original(tmp_path: Path) -> Path:
    for name in ("original", "copy"):
        (tmp_path / name / "include/autostream").mkdir(parents=True)
        (tmp_path / name / ".venv/bin").mkdir(parents=True)
        (tmp_path / name / ".venv/pyvenv.cfg").touch()
    return tmp_path / "original/include/autostream"


def test_a_copy_does_not_run_the_code_of_the_original(original: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        require_own_code(f"{tmp_path}/copy/.venv/bin/autostream", original)
    assert str(raised.value).startswith(
        f"This is the command of {tmp_path}/copy, but it would run the code of {tmp_path}/original, because "
    )
    assert f"Run `make setup` in {tmp_path}/copy" in str(raised.value)


def test_other_places_are_ignored(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_own_code(f"{tmp_path}/original/.venv/bin/autostream", original)
    require_own_code("autostream", original)
    require_own_code("/usr/local/bin/autostream", original)
    monkeypatch.setenv("PYTHONPATH", f"/nowhere:{original.parent}")
    require_own_code(f"{tmp_path}/copy/.venv/bin/autostream", original)


def test_an_installed_package_without_a_checkout_is_its_own(original: Path, tmp_path: Path) -> None:
    (tmp_path / "service/.venv/bin").mkdir(parents=True)
    (tmp_path / "service/.venv/pyvenv.cfg").touch()
    require_own_code(f"{tmp_path}/service/.venv/bin/autostream", original)
