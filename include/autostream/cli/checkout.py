"""Whose code this is: a checkout that was copied with its `.venv` runs the code of the original."""

from __future__ import annotations

import os
from pathlib import Path

from autostream.errors import ConfigurationError


def require_own_code(command: str, package: Path) -> None:
    """Refuse to run as the command of one checkout with the code of another.

    Args:
        command: What was started, such as `/copy/.venv/bin/autostream`.
        package: Where the code is, such as `/original/include/autostream`.

    Raises:
        ConfigurationError: The command's checkout has code of its own, and this is another's.
    """
    venv = Path(command).absolute().parent.parent
    own = venv.parent / "include" / "autostream"
    if not (venv / "pyvenv.cfg").is_file() or not own.is_dir() or own.samefile(package):
        return
    wanted = [Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if package.parent in wanted:  # someone says which code it is to be
        return
    raise ConfigurationError(
        f"This is the command of {venv.parent}, but it would run the code of {package.parent.parent}, because the "
        f"checkout was copied or moved. Run `make setup` in {venv.parent}; it takes a few seconds."
    )
