"""What workers are asked to do with locks."""

from __future__ import annotations

from typing import Any, ClassVar

from autostream.actions import CatalogAction, Workbench
from autostream.errors import ConfigurationError, TimedOutError


class SweepLocks(CatalogAction[list[dict[str, Any]]]):
    """Look through the locks of a Hive catalog's metastore, and release the stale ones: one row a lock."""

    kind: ClassVar[str] = "sweep-locks"

    dry_run: bool = False

    def perform(self, bench: Workbench) -> list[dict[str, Any]]:
        """Sweep.

        Raises:
            ConfigurationError: It is not a Hive catalog.
        """
        from autostream.catalogs.hive import HiveCatalog
        from autostream.locks.janitor import sweep_locks

        catalog = bench.open(self.catalog, self.properties)
        if not isinstance(catalog, HiveCatalog):
            raise ConfigurationError(
                f"Catalog {self.catalog!r} is not a Hive catalog but a {type(catalog).__name__}, so it has no Hive "
                "locks. Remove it from janitor.catalogs and from the param `catalogs`."
            )
        return sweep_locks(catalog, bench.settings, dry_run=self.dry_run)

    def too_slow(self, timeout_seconds: float) -> TimedOutError:
        """Return what to say when it took longer than it may."""
        return TimedOutError(
            f"Checking the locks of {self.description} took longer than {timeout_seconds:g} seconds. Find out what "
            f"takes so long: autostream lock janitor --catalog {self.catalog} --dry-run."
        )
