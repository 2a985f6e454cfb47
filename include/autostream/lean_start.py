"""How a process of our own begins: a command, or the child that works for an Airflow task."""

from __future__ import annotations

import gc
import sys
from types import ModuleType

# Modules make hundreds of thousands of objects that stay: looking through them again and again for garbage took a
# seventh of the time that a command needs to begin.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


class _WithoutPandas:
    """A finder of modules by which pandas is not installed, as where autostream is installed alone.

    PyArrow imports pandas, where there is one, as soon as a value of Python's is handed to it. That takes longer than
    most commands do, and 30 MB; nothing here needs it. An entry of None in `sys.modules` would not do: PyArrow takes
    that for the module.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: ModuleType | None = None) -> None:
        """Find every module but pandas where it would be found anyway."""
        if name == "pandas":
            raise ModuleNotFoundError("autostream does without pandas", name=name)


def start_lean() -> None:
    """Save time and memory in this process; called before anything large is imported."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    sys.meta_path.insert(0, _WithoutPandas)
