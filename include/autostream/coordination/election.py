"""Which of several processes does a job: the one that holds its lock."""

from __future__ import annotations

import logging
import threading

from autostream.coordination.client import ZooKeeperClient
from autostream.coordination.paths import ElectionKey
from autostream.coordination.queued_lock import QueuedLock
from autostream.errors import AutostreamError, LockLostError, LockTimeoutError

_logger = logging.getLogger(__name__)


class Election:
    """A candidate for doing a job, elected as soon as all that came before it are gone.

    It stands again whenever it has lost its place; `leads` says how it is, and `verify` makes sure.
    """

    def __init__(self, client: ZooKeeperClient, name: str, *, try_seconds: float = 5.0) -> None:
        """Prepare.

        Args:
            client: where the election is held.
            name: the job, the same for all candidates.
            try_seconds: how long to queue before it is said who is elected, and looked whether to go on.
        """
        self._lock = QueuedLock(client, ElectionKey(name), what=name, timeout_seconds=try_seconds)
        self._name = name
        self._elected = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._stand, name=f"election of {name}", daemon=True)

    def __enter__(self) -> Election:
        """Stand for election, in a thread of its own."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stand no more; the next one is elected."""
        self._stop.set()
        self._thread.join()
        self._elected.clear()
        self._lock.release()

    def leads(self) -> bool:
        """Say whether this process is elected, as far as it knows without asking."""
        return self._elected.is_set() and self._lock.lost is None

    def verify(self) -> None:
        """Make sure that this process is elected, by asking ZooKeeper.

        Raises:
            LockLostError: it is not, or may not be.
        """
        if not self._elected.is_set():
            raise LockLostError(f"This process is not elected for {self._name}. Nothing was changed.")
        self._lock.verify()

    def _stand(self) -> None:
        told = ""
        while not self._stop.is_set():
            try:
                if not self.leads():
                    self._elected.clear()
                    self._lock.release()
                    self._lock.acquire()
                    self._elected.set()
                    told = ""
                    _logger.info("This process is elected for %s.", self._name)
            except LockTimeoutError as error:  # someone else is elected: the usual case
                told = self._tell(told, f"Another process is elected for {self._name}: {error}")
                continue
            except AutostreamError as error:
                told = self._tell(told, f"The election for {self._name} goes on: {error}")
            self._stop.wait(1.0)

    def _tell(self, told: str, text: str) -> str:
        if not told:
            _logger.info("%s", text)
        return text
