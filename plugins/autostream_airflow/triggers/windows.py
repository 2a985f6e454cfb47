"""Events for each window of event time that a table completes: the trigger of asset watchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence
from itertools import takewhile
from typing import Any

import structlog
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from autostream import times
from autostream.times import iso, parse_zone
from autostream.watermark.partitions import complete_windows, parse_kind, partition_key_of
from autostream.watermark.polling import Watch
from autostream.watermark.windows import Window, window_after, window_at
from autostream_airflow.polling import shared_polling

_log = structlog.get_logger(__name__)
CURSOR = "autostream.complete_until_ms"
MOST_AT_A_LOOK = 100
_SEVERAL = "concrete inlets and outlets"  # what Airflow says where assets share a trigger


class WatermarkWindowTrigger(BaseEventTrigger):
    """Fires for each hour or day that a table completes, in order.

    The event has `table`, `window`, `key`, `start`, `start_ms`, `end`, `end_ms` and `watermark_ms`. The first one is of
    the last window that is complete when the trigger starts for the first time. How far it has got is kept in the state
    store of the watched asset, after Airflow has stored the event: a triggerer that restarts loses none, and repeats
    one only if it died between the two. Several assets that share a trigger have no such store; there the last window
    is repeated.

    All triggers of a table, and the tasks that wait for it, share one poller. A table that is not there is waited for.

    Args:
        table: The table's full name.
        window: `hour` or `day`.
        time_zone: Where days begin.
        poll_seconds: How often to look.
    """

    def __init__(
        self, *, table: str, window: str = "hour", time_zone: str = "UTC", poll_seconds: float = 10.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.table = table
        self.window = parse_kind(window).value
        self.time_zone = time_zone
        self.poll_seconds = poll_seconds
        parse_zone(time_zone)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what it takes to make the same trigger in another process."""
        names = ("table", "window", "time_zone", "poll_seconds")
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in names}

    def shared_stream_key(self) -> Hashable:
        """Return what no other trigger has: the stream is shared for the sake of its acknowledgements alone."""
        key = tuple(self.serialize()[1].values())
        _stores[key] = self.asset_state_store
        return key

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return what finds the windows."""
        return CompleteWindows(cls(**kwargs), _stores.get(tuple(cls(**kwargs).serialize()[1].values())))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Return an event for each window."""
        async for payload in shared_stream:
            yield TriggerEvent(payload)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Return an event for each window, where nothing acknowledges them."""
        async for payload, _ in CompleteWindows(self, self.asset_state_store).open_stream():
            yield TriggerEvent(payload)


_stores: dict[Hashable, Any] = {}
"""State stores by stream: Airflow gives them to triggers, but acknowledges to producers."""


class CompleteWindows(SharedStreamProducer):
    """Finds the windows that a table completes, and remembers which were acknowledged.

    Args:
        trigger: Which windows of which table.
        store: The state store of the asset; None: nothing is remembered.
    """

    def __init__(self, trigger: WatermarkWindowTrigger, store: Any) -> None:
        self._trigger = trigger
        self._kind = parse_kind(trigger.window)
        self._zone = parse_zone(trigger.time_zone)
        self._store = store

    async def open_stream(self) -> AsyncIterator[tuple[dict[str, Any], int]]:
        """Return the windows, each with its end, for ever."""
        cursor_ms = await self._cursor_ms()
        problem = ""
        trigger = self._trigger
        with shared_polling().watch([trigger.table], interval_seconds=trigger.poll_seconds) as watch:
            while True:
                for reading in (await watch.changed()).values():
                    if reading.problem and reading.problem != problem:
                        _log.warning(f"Cannot watch {trigger.table}: {reading.problem}")
                    problem = reading.problem
                    watermark_ms = reading.mark.watermark_ms if reading.mark else None
                    if watermark_ms is None:
                        continue
                    windows = self._complete(cursor_ms, watermark_ms)
                    for window in windows:
                        yield self._payload(window, watermark_ms), window.end_ms
                        await asyncio.sleep(0)  # for who takes it
                    cursor_ms = windows[-1].end_ms if windows else cursor_ms
                    self._look_again(watch, cursor_ms, watermark_ms, soon=len(windows) == MOST_AT_A_LOOK)

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Remembers the windows whose events Airflow has stored, up to the first that it has not.

        Raises:
            RuntimeError: There is one; the trigger ends by it, and starts again with that window.
        """
        stored = list(takewhile(lambda item: item.outcome.is_clean, batch))
        if stored and self._store is not None:
            await self._store.aset(CURSOR, stored[-1].broker_payload)
        if len(stored) < len(batch):
            raise RuntimeError(f"Airflow did not store an event of {self._trigger.table}. The watcher starts again.")

    async def _cursor_ms(self) -> int | None:
        if self._store is None:
            return None
        try:
            stored = await self._store.aget(CURSOR)
        except ValueError as error:
            if _SEVERAL not in str(error):
                raise
            _log.warning(
                f"Several assets watch {self._trigger.table} in the same way. After a restart, an event is repeated."
            )
            self._store = None
            return None
        return None if stored is None else int(stored)

    def _complete(self, cursor_ms: int | None, watermark_ms: int) -> list[Window]:
        now_ms = times.now_ms()
        if cursor_ms is None:
            current = window_at(self._kind, min(watermark_ms, now_ms), self._zone)
            cursor_ms = window_at(self._kind, current.start_ms - 1, self._zone).start_ms
        return complete_windows(
            self._kind, cursor_ms, watermark_ms, now_ms=now_ms, limit=MOST_AT_A_LOOK, zone=self._zone
        )

    def _look_again(self, watch: Watch, cursor_ms: int | None, watermark_ms: int, *, soon: bool) -> None:
        """Wakes the stream though the table does not change: for the next ones of many, or when a window is over."""
        loop = asyncio.get_running_loop()
        if soon:
            loop.call_later(self._trigger.poll_seconds, watch.tell)
            return
        next_end_ms = window_after(
            self._kind, window_at(self._kind, (cursor_ms or 0) - 1, self._zone), self._zone
        ).end_ms
        if cursor_ms is not None and watermark_ms >= next_end_ms > times.now_ms():
            loop.call_later((next_end_ms - times.now_ms()) / 1000, watch.tell)

    def _payload(self, window: Window, watermark_ms: int) -> dict[str, Any]:
        return {
            "table": self._trigger.table,
            "window": self._kind.value,
            "key": partition_key_of(window, self._kind, self._zone),
            "start": iso(window.start_ms),
            "start_ms": window.start_ms,
            "end": iso(window.end_ms),
            "end_ms": window.end_ms,
            "watermark_ms": watermark_ms,
        }
