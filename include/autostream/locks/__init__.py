"""Locks on tables: which are held, breaking one, and releasing Hive's whose holder is gone.

The package can be called: `autostream.locks()` returns the locks that are held, and `autostream.locks.janitor` is a
module of it all the same.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autostream.locks.table_locks import LockListing


class _CallablePackage(ModuleType):
    """This package, as one that can be called."""

    def __call__(self, catalog: str | None = None) -> LockListing:
        from autostream.locks.table_locks import list_locks

        return list_locks(catalog)


sys.modules[__name__].__class__ = _CallablePackage
