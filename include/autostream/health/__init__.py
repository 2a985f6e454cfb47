"""How Flink jobs are: what is measured of them judged by ladders, with reasons, fixes and a score.

All but `assessing`, `log` and `rows` is pure. The package can be called: `autostream.health()` returns how the jobs
are, and `autostream.health.assessing` is a module of it all the same.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autostream.config.root import Settings
    from autostream.health.health_report import HealthReport


class _CallablePackage(ModuleType):
    """This package, as one that can be called."""

    def __call__(
        self,
        job: str | None = None,
        *,
        team: str | None = None,
        window_seconds: int | None = None,
        record: bool = False,
        settings: Settings | None = None,
    ) -> HealthReport:
        from importlib import import_module

        # The library, which lies above: it knows tables too.
        report: HealthReport = import_module("autostream.api").health(
            job, team=team, window_seconds=window_seconds, record=record, settings=settings
        )
        return report


sys.modules[__name__].__class__ = _CallablePackage
