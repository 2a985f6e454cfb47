"""Table properties changed by comparison: only if those that the decision was made on are still what they were."""

from __future__ import annotations

from collections.abc import Mapping

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertTableUUID,
    SetPropertiesUpdate,
    ValidatableTableRequirement,
)


class AssertProperties(ValidatableTableRequirement):
    """The table's properties below a prefix must be exactly these.

    The REST protocol has no such requirement, so it is checked on this side: by Hive and SQL catalogs upon the metadata
    that the swap then compares, by ours for REST right before the request, inside the table's lock if it has one.
    """

    type: str = "assert-properties"
    prefix: str
    expected: dict[str, str]

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        """Compare.

        Raises:
            CommitFailedException: the table is gone, or a property differs.
        """
        if base_metadata is None:
            raise CommitFailedException("Requirement failed: the table is gone")
        found = below(base_metadata.properties, self.prefix)
        if found != self.expected:
            changed = sorted(key for key in {*found, *self.expected} if found.get(key) != self.expected.get(key))
            raise CommitFailedException(f"Requirement failed: properties changed meanwhile: {', '.join(changed)}")


def below(properties: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the properties whose names begin with a prefix."""
    return {key: value for key, value in properties.items() if key.startswith(prefix)}


def commit_properties(table: Table, changed: Mapping[str, str], *, guarded_prefix: str) -> None:
    """Make one attempt to set properties of a table as it was loaded, which on success becomes what it is now.

    Raises:
        CommitFailedException: nothing was changed: a property below `guarded_prefix` is not what this table says,
            it is another table by now, or another commit was faster.
        CommitStateUnknownException: whether it was applied could not be found out.
    """
    unchanged = AssertProperties(prefix=guarded_prefix, expected=below(table.metadata.properties, guarded_prefix))
    same_table = AssertTableUUID(uuid=table.metadata.table_uuid)
    table._do_commit((SetPropertiesUpdate(updates=dict(changed)),), (same_table, unchanged))  # type: ignore[arg-type]
