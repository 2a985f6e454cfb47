"""Flink's REST interface: what runs, since when, and how it fares.

The package can be called: `autostream.flink()` returns the fleet, all jobs of the clusters that are configured, and
`autostream.flink.fleet` is a module of it all the same.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autostream.config.root import Settings
    from autostream.flink.fleet import Fleet


class _CallablePackage(ModuleType):
    """This package, as one that can be called."""

    def __call__(self, settings: Settings | None = None) -> Fleet:
        from autostream.config.loading import load_settings
        from autostream.flink.fleet import Fleet

        return Fleet((settings or load_settings()).flink)


sys.modules[__name__].__class__ = _CallablePackage
