"""One look at a table for all who wait for it: polling within an event loop, such as the triggerer's."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from types import TracebackType
from weakref import WeakKeyDictionary

from autostream.backoff import Backoff
from autostream.names import catalog_of
from autostream.watermark.reading.mark_reader import describe_failure
from autostream.watermark.waiting import MarkReading

THREADS = 8
THREADS_OF_A_CATALOG = 4
"""Fewer than there are, so that a catalog that answers late does not block others."""

_LONGEST_PAUSE_SECONDS = 60.0
"""The longest pause after failures, so that who waits learns soon that a catalog is up again."""

_TOLD_AT_A_TIME = 50
"""Who waits for a busy table is woken in groups, between which the loop gets to other work."""


class Polling:
    """Reads tables as long as something waits for them, with one poller for each table, however many wait.

    For use within one event loop.

    Args:
        read: Looks at a table.
        chance: Random numbers of [0, 1), by which pauses differ, so that tables are not all looked at at once.
    """

    def __init__(
        self,
        read: Callable[[str], Awaitable[MarkReading]],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.read = read
        self.chance = chance
        self.pollers: dict[str, _Poller] = {}

    def watch(self, tables: Iterable[str], *, interval_seconds: float) -> Watch:
        """Return what tells of changes of tables; use it as a context manager.

        Args:
            tables: Their full names.
            interval_seconds: How often to look at least. Of several who wait for a table the shortest counts.
        """
        return Watch(self, tuple(dict.fromkeys(tables)), interval_seconds)

    def join(self, table: str, watch: Watch) -> _Poller:
        """Has a table looked at for one more."""
        poller = self.pollers.get(table)
        if poller is None:
            poller = self.pollers[table] = _Poller(self, table)
        poller.join(watch)
        return poller

    def leave(self, poller: _Poller, watch: Watch) -> None:
        """End that; the last one who leaves ends the poller."""
        if not poller.leave(watch) and self.pollers.get(poller.table) is poller:
            del self.pollers[poller.table]


class Watch:
    """One who waits for changes of tables; small, as there may be ten thousand."""

    __slots__ = ("_news", "_pollers", "_polling", "_tables", "_told", "interval_seconds")

    def __init__(self, polling: Polling, tables: tuple[str, ...], interval_seconds: float) -> None:
        self.interval_seconds = interval_seconds
        self._polling = polling
        self._tables = tables
        self._pollers: list[_Poller] = []
        self._told = False
        self._news: asyncio.Future[None] | None = None

    def __enter__(self) -> Watch:
        self._pollers = [self._polling.join(table, self) for table in self._tables]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pollers, self._pollers = self._pollers, []
        for poller in pollers:
            self._polling.leave(poller, self)

    async def changed(self) -> dict[str, MarkReading]:
        """Return the readings of tables: whenever one has changed, or `tell` was called.

        A table that has not been looked at yet is missing.
        """
        if not self._told:
            self._news = asyncio.get_running_loop().create_future()
            try:
                await self._news
            finally:
                self._news = None
        self._told = False
        return {poller.table: poller.reading for poller in self._pollers if poller.reading is not None}

    def tell(self) -> None:
        """Wakes who waits."""
        self._told = True
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class _Poller:
    """Looks at one table, and tells those who watch it."""

    def __init__(self, polling: Polling, table: str) -> None:
        self.table = table
        self.reading: MarkReading | None = None
        self._polling = polling
        self._watches: dict[Watch, None] = {}
        self._failures = 0
        self._hurry = asyncio.Event()
        # In a context of its own: what it logs does not belong to the trigger that happened to come first.
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"poll {table}", context=Context())

    def join(self, watch: Watch) -> None:
        self._watches[watch] = None
        self._hurry.set()  # the pause may be too long for this one
        if self.reading is not None:
            watch.tell()

    def leave(self, watch: Watch) -> bool:
        """Return whether anyone still watches."""
        self._watches.pop(watch, None)
        if not self._watches:
            self._task.cancel()
        return bool(self._watches)

    async def _run(self) -> None:
        while True:
            before, self.reading = self.reading, await self._read()
            self._failures = 0 if self.reading.mark else self._failures + 1
            if self.reading != before:
                await self._tell()
            await self._pause()

    async def _read(self) -> MarkReading:
        try:
            return await self._polling.read(self.table)
        except Exception as error:  # a poller that died would leave everybody waiting
            return MarkReading(None, describe_failure(error))

    async def _tell(self) -> None:
        for number, watch in enumerate(tuple(self._watches), start=1):
            watch.tell()
            if number % _TOLD_AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        since, drawn = loop.time(), self._polling.chance()
        while (left := since + self._pause_seconds(drawn) - loop.time()) > 0:
            self._hurry.clear()
            try:
                async with asyncio.timeout(left):
                    await self._hurry.wait()
            except TimeoutError:
                return

    def _pause_seconds(self, drawn: float) -> float:
        shortest = min((watch.interval_seconds for watch in self._watches), default=_LONGEST_PAUSE_SECONDS)
        pauses = Backoff(shortest, max(shortest, _LONGEST_PAUSE_SECONDS), jitter=(0.9, 1.1))
        return pauses.seconds(self._failures + 1, chance=lambda: drawn)


class ThreadedReading:
    """Looks at tables in threads of its own, so that neither side waits for what else asyncio's threads do.

    Args:
        read: Looks at a table, blocking; called by several threads.
    """

    def __init__(self, read: Callable[[str], MarkReading]) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="autostream-poll", initializer=_prepare)
        self._gates: dict[str, asyncio.Semaphore] = {}

    async def __call__(self, table: str) -> MarkReading:
        """Look at a table; one catalog never keeps all threads busy."""
        gate = self._gates.setdefault(catalog_of(table), asyncio.Semaphore(THREADS_OF_A_CATALOG))
        async with gate:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, table)


def _prepare() -> None:
    """Import what catalogs need, which takes a second, before a thread's first look.

    What that consists of stays for ever. Were it looked through by each full collection of garbage, then each would
    stop the event loop for 50 ms and more.
    """
    with suppress(ImportError):  # which each look will tell of
        import autostream.watermark.reading.table_marks  # noqa: F401
    with _freezing:
        if not _frozen:
            gc.freeze()
            _frozen.append(True)


_freezing = threading.Lock()
_frozen: list[bool] = []


_pollings: WeakKeyDictionary[asyncio.AbstractEventLoop, Polling] = WeakKeyDictionary()


def polling_of_this_loop(read: Callable[[], Callable[[str], MarkReading]]) -> Polling:
    """Return the polling that all share who wait in this event loop.

    Args:
        read: Returns what looks at a table, blocking; called when the first one waits.
    """
    loop = asyncio.get_running_loop()
    if loop not in _pollings:
        _pollings[loop] = Polling(ThreadedReading(read()))
    return _pollings[loop]
