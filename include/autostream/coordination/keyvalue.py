"""Values by key in ZooKeeper, each with a version that a change has to name.

Of two processes that change a value upon the same version one succeeds, and the other is told to read it and decide
again. A change that got no answer is sent again: it names a version, so of all its copies one is carried out at most.
Whether it was, the value tells, which carries the id of the change that wrote it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError

from autostream import times
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.paths import Paths, unquote
from autostream.coordination.session_failures import InterruptedSessionError
from autostream.errors import ConfigurationError, ConflictError, OutcomeUnknownError, ServiceError

LARGEST_VALUE_BYTES: Final = 900_000
"""ZooKeeper ends the connection of who sends a megabyte."""

_NO_NODE: Final = -1
"""The version of a node that does not exist: creating it makes version 0."""


@dataclass(frozen=True)
class VersionedValue:
    """What a key has.

    Attributes:
        value: As JSON gives it.
        version: Larger for each change of this key, also where it was deleted in between.
    """

    value: Any
    version: int


@dataclass(frozen=True)
class _Node:
    """What is in the node of a key; a deleted key keeps its node, so that no version of it comes twice."""

    version: int
    change_id: str
    deleted: bool
    value: Any = None


class _MovedError(Exception):
    """A node does not have the version that a change expects."""


class KeyValueSpace:
    """The values of one purpose, such as `rescale`, below the root of the client."""

    def __init__(self, client: ZooKeeperClient, name: str) -> None:
        """Connect to nothing yet."""
        self._client = client
        self._name = name
        self._path = Paths(client.root).values(name)

    def get(self, key: str) -> VersionedValue | None:
        """Return what a key has; None where it has nothing.

        A server may be a moment behind: what is decided from the value is made sure of by `put` with its version.

        Raises:
            ServiceError: ZooKeeper cannot be reached.
            DeniedError: The account may not read it.
        """
        node = self._read(key, self._timeout)
        return None if node is None or node.deleted else VersionedValue(node.value, node.version + 1)

    def list(self) -> dict[str, VersionedValue]:
        """Return all keys that have a value, in the order of their names; raises as `get` does."""
        keys = sorted(map(unquote, self._client.children(self._path)))
        return {key: found for key in keys if (found := self.get(key)) is not None}

    def put(self, key: str, value: Any, *, expected_version: int) -> int:
        """Set the value of a key.

        Args:
            key: Any text.
            value: Anything that JSON can write.
            expected_version: The version that the key must have; 0: it must have no value.

        Returns:
            The new version.

        Raises:
            ConflictError: The key has another version; nothing was changed.
            OutcomeUnknownError: There was no answer in time, or others changed the value before there was one.
            ServiceError: ZooKeeper cannot be reached; nothing was changed.
            DeniedError: The account may not change it.
            ValueError: The value is not JSON, or too large.
        """
        return self._change(key, {"value": value}, expected_version)

    def delete(self, key: str, *, expected_version: int) -> None:
        """Take the value of a key away; arguments and errors as of `put`."""
        self._change(key, {"deleted": True}, expected_version)

    @property
    def _timeout(self) -> float:
        return self._client.settings.connect_timeout_seconds

    def _path_of(self, key: str) -> str:
        return Paths(self._client.root).value(self._name, key)

    def _read(self, key: str, timeout_seconds: float) -> _Node | None:
        path = self._path_of(key)
        found = self._client.get(path, timeout_seconds=timeout_seconds)
        if found is None:
            return None
        data, stat = found
        try:
            document = json.loads(data)
            return _Node(stat.version, document["change"], document.get("deleted", False), document.get("value"))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ConfigurationError(
                f"ZooKeeper's node {path} has content that autostream did not write. Remove the node, or set another "
                "zookeeper.root."
            ) from None

    def _change(self, key: str, content: dict[str, Any], expected_version: int) -> int:
        change_id = uuid.uuid4().hex
        data = json.dumps({"change": change_id, **content}, allow_nan=False, ensure_ascii=False).encode()
        if len(data) > LARGEST_VALUE_BYTES:
            raise ValueError(
                f"The value of {key!r} is too large: it has {len(data)} bytes, and the most is {LARGEST_VALUE_BYTES}."
            )
        deadline = times.monotonic() + self._timeout
        before = self._node_version(key, expected_version, deadline)
        in_doubt = False
        while True:
            try:
                return self._send(key, data, before, deadline) + 1
            except InterruptedSessionError as error:
                in_doubt = True
                if times.monotonic() >= deadline:
                    raise self._unknown(key, str(error)) from error
            except ServiceError as error:
                if in_doubt:
                    raise self._unknown(key, str(error)) from error
                raise
            except _MovedError:
                if not in_doubt:
                    raise self._conflict(key, expected_version) from None
                self._require_written(key, change_id, before, expected_version)
                return before + 2

    def _node_version(self, key: str, expected_version: int, deadline: float) -> int:
        """Return the version that the node of a key has where the key has the expected version."""
        if expected_version > 0:
            return expected_version - 1
        node = self._read(key, deadline - times.monotonic())
        if node is None:
            return _NO_NODE
        if not node.deleted:
            raise self._conflict(key, expected_version)
        return node.version

    def _send(self, key: str, data: bytes, before: int, deadline: float) -> int:
        """Write the node upon a version, and return its new version."""
        path = self._path_of(key)

        def call(kazoo: Any) -> Any:
            if before == _NO_NODE:
                return kazoo.create_async(path, data, include_data=True)
            return kazoo.set_async(path, data, version=before)

        session = self._client.session(deadline - times.monotonic())
        try:
            session.request(f"writing {path}", call, timeout_seconds=deadline - times.monotonic())
        except (BadVersionError, NodeExistsError) as error:
            raise _MovedError(path) from error
        except NoNodeError as error:
            if before != _NO_NODE:
                raise _MovedError(path) from error
            self._client.ensure_path(self._path, timeout_seconds=deadline - times.monotonic())
            return self._send(key, data, before, deadline)
        return before + 1

    def _require_written(self, key: str, change_id: str, before: int, expected_version: int) -> None:
        """Make sure that it was our change that moved the node on, of which the answer was lost."""
        self._client.ask("synchronising", lambda kazoo: kazoo.sync_async(self._path_of(key)))
        node = self._read(key, self._timeout)
        if node is not None and node.change_id == change_id:
            return
        if node is not None and node.version == before + 1:
            raise self._conflict(key, expected_version)
        raise self._unknown(key, "changed in the meantime")

    def _conflict(self, key: str, expected_version: int) -> ConflictError:
        what = f"is no longer at version {expected_version}" if expected_version else "already has a value"
        return ConflictError(
            f"The key {key!r} of {self._name} in ZooKeeper {what}: another process has changed it. Nothing was "
            "changed here. Read the value again, then decide again."
        )

    def _unknown(self, key: str, reason: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            f"It is not known whether the key {key!r} of {self._name} in ZooKeeper was changed "
            f"({reason.rstrip('.')}). Read the value again, then decide again."
        )
