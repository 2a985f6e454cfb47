"""The entry point: loads the command line, which takes a moment, and runs it."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

# Modules make hundreds of thousands of objects that stay: looking through them again and again for garbage took a
# seventh of the time that a command needs to begin.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


class WithoutPandas:
    """A finder of modules by which pandas is not installed, as where autostream is installed alone.

    PyArrow imports pandas, where there is one, as soon as a value of Python's is handed to it; that takes longer than
    most commands do, and no command needs it. An entry of None in `sys.modules` would not do: PyArrow takes that for
    the module.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: ModuleType | None = None) -> None:
        """Find every module but pandas where it would be found anyway."""
        if name == "pandas":
            raise ModuleNotFoundError("autostream's commands do without pandas", name=name)


def run() -> None:
    """Run the command line of this process; Ctrl-C while it is loaded ends it like any other."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    sys.meta_path.insert(0, WithoutPandas)
    try:
        from autostream.cli.main import run_command
    except KeyboardInterrupt:
        sys.stderr.write("error: Interrupted. Nothing was changed.\n")
        sys.exit(130)
    run_command()
