"""A place in the queue for a lock: one ephemeral node, certain to be there and certain to be removed.

kazoo's own recipe swallows the errors of its clean-up, so that a waiter that gave up can leave a live node, which
blocks the queue as long as its process lives. Here a node that could not be removed at once is removed in the
background.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from typing import Any, Final

from kazoo.exceptions import NodeExistsError, NoNodeError, NotEmptyError

from autostream import times
from autostream.backoff import Backoff
from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.paths import LockNode, Paths, QueueKey, lock_prefix
from autostream.coordination.session import ZooKeeperSession
from autostream.coordination.session_failures import InterruptedSessionError
from autostream.errors import DeniedError

_LEAVE_TIMEOUT_SECONDS: Final = 2.0
_BACKGROUND_TIMEOUT_SECONDS: Final = 10.0
_PAUSES: Final = Backoff(first_seconds=0.1, cap_seconds=5.0)

_logger = logging.getLogger(__name__)


class QueuePlace:
    """A place in the queue of a table, or of an election: `enter`, `ahead`, `leave`. The first place holds the lock.

    Attributes:
        key: What is queued for.
        node: The node that stands for it, once there is one.
        token: Its czxid: larger for each later place of the queue, and for ever.
        owner: Id of the session that it lives and ends with.
    """

    def __init__(self, client: ZooKeeperClient, key: QueueKey) -> None:
        self._client = client
        self._paths = Paths(client.root)
        self._uuid = uuid.uuid4().hex
        self._made: Any = None
        self._sent = False
        self._session: ZooKeeperSession | None = None
        self.key = key
        self.node: LockNode | None = None
        self.token = 0
        self.owner: int | None = None

    @property
    def queue(self) -> str:
        """Parent of all places of the queue."""
        return self._paths.queue(self.key)

    @property
    def path(self) -> str:
        """The node that stands for it."""
        return f"{self.queue}/{self.node.name if self.node else lock_prefix(self._uuid)}"

    def enter(self, data: bytes, *, deadline: float) -> None:
        """Make the node, whatever is lost on the way there or back.

        Args:
            data: Content of the node.
            deadline: Until when to try, on the monotonic clock.

        Raises:
            ServiceError: ZooKeeper gave no answer in time.
            DeniedError: The account may not make nodes there.
        """
        while self.node is None:
            session = self._session = self._client.session(deadline - times.monotonic())
            try:
                path, stat = session.request(
                    f"creating a node below {self.queue}",
                    lambda kazoo: self._send_create(kazoo, data),
                    timeout_seconds=deadline - times.monotonic(),
                )
            except NoNodeError:
                self._make_parents(session, deadline)
                continue
            except InterruptedSessionError:
                if times.monotonic() >= deadline:
                    raise
                self._find(deadline)  # it may be there, only the answer was lost
                continue
            self._found(path.rpartition("/")[2], stat)

    def _send_create(self, kazoo: Any, data: bytes) -> Any:
        # The queue's node is made along, to wait for one answer only; mostly it is there, or was removed with the last
        # place. ZooKeeper keeps the order.
        self._made = kazoo.create_async(self.queue)
        self._sent = True
        return kazoo.create_async(
            f"{self.queue}/{lock_prefix(self._uuid)}", data, ephemeral=True, sequence=True, include_data=True
        )

    def _make_parents(self, session: ZooKeeperSession, deadline: float) -> None:
        """Make what was missing; unless it was the last one in the queue, that took its node away at that moment."""
        with contextlib.suppress(NodeExistsError, NoNodeError):
            session.request(
                f"creating {self.queue}", lambda kazoo: self._made, timeout_seconds=deadline - times.monotonic()
            )
        parent = self.queue.rpartition("/")[0]
        self._client.ensure_path(parent, timeout_seconds=deadline - times.monotonic())

    def _find(self, deadline: float) -> None:
        """Look for the own node, after everything that was sent before.

        Requests of one connection are carried out in their order, those that still wait to be sent among them. A server
        ends the old connection of a session before it accepts a new one, so what was sent over the old one either has
        been carried out by now or never will be. The server asked may lag behind: `sync` makes it catch up.
        """
        path = self.queue
        self._client.ask("synchronising", lambda k: k.sync_async(path), timeout_seconds=deadline - times.monotonic())
        for name in self._client.children(self.queue, timeout_seconds=deadline - times.monotonic()):
            node = LockNode.parse(name)
            if node is not None and node.uuid == self._uuid:
                found = self._client.get(f"{self.queue}/{name}", timeout_seconds=deadline - times.monotonic())
                if found is not None:
                    self._found(name, found[1])

    def _found(self, name: str, stat: Any) -> None:
        self.node, self.token, self.owner = LockNode.parse(name), stat.czxid, stat.ephemeralOwner

    def ahead(self, *, deadline: float) -> list[LockNode] | None:
        """Return the places before this one, the first one first; None when this one is not in the queue any more."""
        names = self._client.children(self.queue, timeout_seconds=deadline - times.monotonic())
        nodes = sorted(node for node in map(LockNode.parse, names) if node is not None)
        if self.node not in nodes:
            return None
        return nodes[: nodes.index(self.node)]

    def watch(self, other: LockNode, changed: threading.Event, *, deadline: float) -> bool:
        """Has `changed` set when another place is given up or the session is interrupted.

        Returns:
            Whether the other place is still there.
        """
        path = f"{self.queue}/{other.name}"
        try:
            # A watch of its children, which it cannot have: fires when the node goes, not when its content changes.
            self._client.ask(
                f"watching {path}",
                lambda kazoo: kazoo.get_children_async(path, watch=lambda event: changed.set()),
                timeout_seconds=deadline - times.monotonic(),
            )
        except NoNodeError:
            return False
        return True

    def leave(self) -> None:
        """Remove the node: at once where ZooKeeper answers, else in the background. Nothing is raised here."""
        done = False
        try:
            if self._gone_with_session():
                done = True
                return
            self._remove(times.monotonic() + _LEAVE_TIMEOUT_SECONDS)
            done = True
        except Exception as error:
            _logger.debug("Removing %s in the background: %s", self.path, error)
        finally:
            if not done:
                threading.Thread(target=self._keep_removing, name="zookeeper-clean-up", daemon=True).start()

    def _gone_with_session(self) -> bool:
        """Whether the connection that the node was made by is closed for good: the servers remove it by themselves."""
        return self._session is None or self._client.current_session() is not self._session

    def _keep_removing(self) -> None:
        tries = 0
        while not self._gone_with_session():
            try:
                self._remove(times.monotonic() + _BACKGROUND_TIMEOUT_SECONDS)
                return
            except DeniedError as error:
                _logger.warning("%s stays until this process ends: %s", self.path, error)
                return
            except Exception as error:
                _logger.debug("%s could not be removed yet: %s", self.path, error)
            tries += 1
            times.sleep(_PAUSES.seconds(tries))

    def _remove(self, deadline: float) -> None:
        if self.node is None:
            if not self._sent:
                return
            self._find(deadline)
            if self.node is None:
                return
        session = self._client.session(deadline - times.monotonic())
        # Both are sent at once, to wait for one answer only.
        emptied = None

        def remove(kazoo: Any) -> Any:
            nonlocal emptied
            removed = kazoo.delete_async(self.path)
            emptied = kazoo.delete_async(self.queue)
            return removed

        try:
            session.request(f"removing {self.path}", remove, timeout_seconds=deadline - times.monotonic())
        except NoNodeError:
            _logger.debug("%s was already removed", self.path)
        # Others wait, or were here and left, or the queue is another account's: then it is not for us to remove.
        with contextlib.suppress(NoNodeError, NotEmptyError, DeniedError):
            session.request(
                f"removing {self.queue}", lambda kazoo: emptied, timeout_seconds=deadline - times.monotonic()
            )


def touch(session: ZooKeeperSession, path: str, *, timeout_seconds: float) -> bool:
    """Whether a node exists at this moment, as a majority of the servers agrees.

    It is asked as a transaction, which takes its turn among all changes: what a reader is told may be old, and a
    server that is cut off from the others, or a leader that does not know yet that it no longer is, cannot answer.

    Raises:
        InterruptedSessionError: There was no answer.
    """

    def call(kazoo: Any) -> Any:
        transaction = kazoo.transaction()
        transaction.check(path, -1)
        return transaction.commit_async()

    (answer,) = session.request(f"checking {path}", call, timeout_seconds=timeout_seconds)
    if isinstance(answer, NoNodeError):
        return False
    if isinstance(answer, Exception):
        raise session.explain(f"checking {path}", answer) from answer
    return True
