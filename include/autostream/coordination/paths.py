"""Where things are kept in ZooKeeper; the only place that knows."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

from autostream.errors import UsageError

_NODE = re.compile(r"^lock-(?P<uuid>[0-9a-f]{32})-(?P<sequence>-?\d+)$")


@dataclass(frozen=True, order=True)
class LockKey:
    """What is locked: a table of a catalog.

    Two processes exclude each other only where both call the table by the same key, so the name of the catalog must be
    the same for all its users, and a catalog that ignores case must be asked in one case (Hive: lower).

    Attributes:
        catalog: Name of the catalog, such as `lake`.
        table: Name of the table within it, such as `db.orders`.
    """

    catalog: str
    table: str

    def __post_init__(self) -> None:
        if not self.catalog or not self.table:
            raise UsageError(f"Invalid lock of catalog {self.catalog!r} and table {self.table!r}: both need a name.")

    def __str__(self) -> str:
        """Return the table as it is written everywhere."""
        return f"{self.catalog}.{self.table}"

    @property
    def subject(self) -> str:
        """What is locked, for messages."""
        return f"table {self}"

    @property
    def hint(self) -> str:
        """What helps against a holder that hangs, for messages."""
        return f" If the holder hangs, take the lock from it with 'autostream lock break {self}';"

    @property
    def parts(self) -> tuple[str, ...]:
        """Where it is kept, below the folder of locks."""
        return (self.catalog, self.table)


@dataclass(frozen=True, order=True)
class ElectionKey:
    """What one of several processes is elected for.

    Attributes:
        name: The job, such as `watermark-recorder`.
    """

    name: str

    def __str__(self) -> str:
        """Return the job's name."""
        return self.name

    @property
    def subject(self) -> str:
        """What is locked, for messages."""
        return f"election {self.name}"

    @property
    def hint(self) -> str:
        """What helps against a holder that hangs, for messages."""
        return " If the elected process hangs, stop it;"

    @property
    def parts(self) -> tuple[str, ...]:
        """Where it is kept, below the folder of elections."""
        return (self.name,)


QueueKey = LockKey | ElectionKey
"""What processes queue for."""


@dataclass(frozen=True)
class Paths:
    """The nodes below the configured root.

        ROOT/locks/CATALOG/TABLE/lock-UUID-SEQUENCE    ephemeral; the lowest sequence holds the lock, the others wait
        ROOT/elections/NAME/lock-UUID-SEQUENCE         likewise: the lowest sequence is elected
        ROOT/broken/CATALOG/TABLE/lock-UUID-SEQUENCE   who broke that lock, when and why
        ROOT/values/SPACE/KEY                          a value; its version is the node's

    Attributes:
        root: Node below which all is kept, without a slash at its end.
    """

    root: str

    @property
    def locks(self) -> str:
        """Parent of the catalogs that have locked tables."""
        return f"{self.root}/locks"

    @property
    def elections(self) -> str:
        """Parent of the jobs that processes are elected for."""
        return f"{self.root}/elections"

    def locks_of_catalog(self, catalog: str) -> str:
        """Parent of the tables of a catalog that are locked; stays when none is."""
        return f"{self.locks}/{quote(catalog)}"

    def queue(self, key: QueueKey) -> str:
        """Parent of the lock nodes of a table or an election; exists only while there is one."""
        folder = self.locks if isinstance(key, LockKey) else self.elections
        return "/".join((folder, *map(quote, key.parts)))

    def broken_of(self, key: LockKey) -> str:
        """Parent of the records of a table's broken locks."""
        return "/".join((self.root, "broken", *map(quote, key.parts)))

    def values(self, space: str) -> str:
        """Parent of the values of one purpose."""
        return f"{self.root}/values/{quote(space)}"

    def value(self, space: str, key: str) -> str:
        """Node of a value; stays when the value is deleted."""
        return f"{self.values(space)}/{quote(key)}"


@dataclass(frozen=True, order=True)
class LockNode:
    """Name of a lock node, in the order in which they hold the lock.

    Attributes:
        sequence: What ZooKeeper numbered it by.
        uuid: What its maker named it by; 32 hexadecimal digits.
        name: The whole name.
    """

    sequence: int
    uuid: str
    name: str

    @classmethod
    def parse(cls, name: str) -> LockNode | None:
        """Return the lock node that a name spells, or None: others may keep nodes there too."""
        match = _NODE.match(name)
        return cls(int(match["sequence"]), match["uuid"], name) if match else None


def lock_prefix(uuid: str) -> str:
    """Return what ZooKeeper is to append the sequence number to."""
    return f"lock-{uuid}-"


def quote(name: str) -> str:
    """`name` as one part of a path: what is no letter, digit or one of `_.-~` is written as %XX of its UTF-8."""
    if name in (".", ".."):  # ZooKeeper allows neither as a part
        return name.replace(".", "%2E")
    return urllib.parse.quote(name, safe="")


def unquote(part: str) -> str:
    """Return the name that `quote` made this part of."""
    return urllib.parse.unquote(part)
