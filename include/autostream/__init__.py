"""autostream keeps a streaming lakehouse of Flink and Iceberg tables healthy.

    import autostream

    autostream.table("lake.db.orders").compact(dry_run=True)

What there is to use is in `autostream.api`; it is loaded when it is used, so that this import costs next to nothing.
See docs/python.md.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which would have to be loaded
if TYPE_CHECKING:
    from autostream.api import Lakehouse as Lakehouse
    from autostream.api import LakeTable as LakeTable
    from autostream.api import check as check
    from autostream.api import compact as compact
    from autostream.api import diagnose as diagnose
    from autostream.api import flink as flink
    from autostream.api import flink_metrics as flink_metrics
    from autostream.api import health as health
    from autostream.api import locks as locks
    from autostream.api import log_levels as log_levels
    from autostream.api import profile as profile
    from autostream.api import reset_log_levels as reset_log_levels
    from autostream.api import set_log_level as set_log_level
    from autostream.api import table as table
    from autostream.api import tables as tables

__version__ = "0.1.0"

__all__ = [
    "LakeTable",
    "Lakehouse",
    "__version__",
    "check",
    "compact",
    "diagnose",
    "flink",
    "flink_metrics",
    "health",
    "locks",
    "log_levels",
    "profile",
    "reset_log_levels",
    "set_log_level",
    "table",
    "tables",
]


def __getattr__(name: str) -> object:
    """Load a public name when it is used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'autostream' has no attribute {name!r}")
    from importlib import import_module

    if name in ("flink", "health", "locks"):  # packages with modules, which can be called
        return import_module(f"autostream.{name}")
    return getattr(import_module("autostream.api"), name)


def __dir__() -> list[str]:
    """Name what there is, loaded or not."""
    return sorted({*globals(), *__all__})
