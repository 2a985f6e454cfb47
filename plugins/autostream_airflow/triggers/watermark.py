"""Waiting for tables to be complete, in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog
from airflow.triggers.base import BaseTrigger, TriggerEvent

from autostream import times
from autostream.errors import AutostreamError
from autostream.times import parse_zone
from autostream.watermark.conditions import Condition, Quantifier
from autostream.watermark.polling import Watch
from autostream.watermark.waiting import Outcome, step
from autostream_airflow.polling import shared_polling

_log = structlog.get_logger(__name__)  # one for all triggers: the triggerer knows whose log a line belongs to

MET, LATE, FAILED = Outcome.MET.value, Outcome.LATE.value, "failed"


class WatermarkTrigger(BaseTrigger):
    """Fires once: when a condition is met, when its time is over, or when waiting makes no sense any more.

    Its event is `{"status": "met", "answer": {...}}`, `{"status": "late"}` or `{"status": "failed", "message": "..."}`.
    Triggers that wait for the same table share one poller. Catalogs are opened by their names, so that no secret is
    among the arguments.

    Args:
        tables: Full names of the tables.
        until_ms: What they have to be complete up to.
        lateness_ms: How much further the watermark has to be.
        quantifier: `all` or `any` of the tables.
        writers: The writers that count; none: all.
        time_zone: In which times are explained.
        poll_seconds: How often to look.
        deadline_ms: When the time is over.
        said: The explanation that the task's log has already.
    """

    def __init__(
        self,
        *,
        tables: Sequence[str],
        until_ms: int,
        lateness_ms: int = 0,
        quantifier: str = Quantifier.ALL.value,
        writers: Sequence[str] = (),
        time_zone: str = "UTC",
        poll_seconds: float = 30.0,
        deadline_ms: int | None = None,
        said: str = "",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tables = list(tables)
        self.until_ms = until_ms
        self.lateness_ms = lateness_ms
        self.quantifier = quantifier
        self.writers = list(writers)
        self.time_zone = time_zone
        self.poll_seconds = poll_seconds
        self.deadline_ms = deadline_ms
        self.said = said

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what it takes to make the same trigger in another process."""
        names = ("tables", "until_ms", "lateness_ms", "quantifier", "writers", "time_zone", "poll_seconds")
        kwargs = {name: getattr(self, name) for name in (*names, "deadline_ms", "said")}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait."""
        try:
            event = await self._wait(self._condition())
        except AutostreamError as error:
            event = {"status": FAILED, "message": str(error)}
        yield TriggerEvent(event)

    async def _wait(self, condition: Condition) -> dict[str, Any]:
        told = self.said
        with shared_polling().watch(condition.tables, interval_seconds=self.poll_seconds) as watch:
            self._wake_in_time(watch)
            while True:
                readings = await watch.changed()
                found = step(condition, readings, told=told, left_seconds=self._left_seconds())
                if found.outcome is Outcome.MET:
                    return {"status": MET, "answer": found.answer.to_dict()}
                if found.news:
                    told = found.explanation
                    _log.info(told)
                if found.outcome is Outcome.LATE:
                    return {"status": LATE}

    def _left_seconds(self) -> float | None:
        return None if self.deadline_ms is None else (self.deadline_ms - times.now_ms()) / 1000

    def _condition(self) -> Condition:
        return Condition(
            tables=tuple(self.tables),
            until_ms=self.until_ms,
            lateness_ms=self.lateness_ms,
            quantifier=Quantifier(self.quantifier),
            writers=tuple(self.writers),
            zone=parse_zone(self.time_zone),
        )

    def _wake_in_time(self, watch: Watch) -> None:
        left = self._left_seconds()
        if left is not None:
            asyncio.get_running_loop().call_later(max(0.0, left), watch.tell)
