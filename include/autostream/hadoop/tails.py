"""The ends of files read lately, kept in memory: a merge opens the same file several times, each time for its footer.

Small files are kept whole. What is kept is told apart by length and time of the last change, so a file that was
replaced is read again.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from autostream.hadoop.settings import WebHdfsSettings
from autostream.sizes import MIB

LIMIT_BYTES: Final = 32 * MIB


@dataclass(frozen=True)
class FileKey:
    """One state of a file, as one account may read it."""

    settings: WebHdfsSettings
    path: str
    size_bytes: int
    modified_at_ms: int


class Tails:
    """Ends of files, those used last, up to a number of bytes. Threads may share it."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        """Begin with nothing."""
        self._limit = limit_bytes
        self.forget()

    def forget(self) -> None:
        """Begin again."""
        self._lock = threading.Lock()
        self._kept: OrderedDict[FileKey, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: FileKey) -> bytes | None:
        """Return the end of a file, if it is kept."""
        with self._lock:
            tail = self._kept.get(key)
            if tail is not None:
                self._kept.move_to_end(key)
            return tail

    def keep(self, key: FileKey, tail: bytes) -> None:
        """Keep the end of a file; others go for it."""
        with self._lock:
            self._bytes += len(tail) - len(self._kept.pop(key, b""))
            self._kept[key] = tail
            while self._bytes > self._limit:
                self._bytes -= len(self._kept.popitem(last=False)[1])


TAILS: Final = Tails()

# Another thread may hold the lock while this one forks.
os.register_at_fork(after_in_child=TAILS.forget)
