"""Waiting for tables to be complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralTimeout,
)

from autostream import times
from autostream.errors import UsageError
from autostream.times import describe_length, parse_instant, parse_length, parse_zone, to_ms
from autostream.watermark.conditions import Condition, Quantifier
from autostream.watermark.partitions import names_day, parse_kind, window_of_key
from autostream.watermark.vain_waits import tell_of_wait
from autostream.watermark.waiting import MarkReading, Outcome, Step, step
from autostream.watermark.windows import WindowKind, window_at
from autostream_airflow.hooks.catalog import open_mark_reader
from autostream_airflow.links import TableLink
from autostream_airflow.triggers.watermark import FAILED, LATE, WatermarkTrigger

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.watermark.reading.mark_reader import MarkReader

RECORD = "autostream.wait"
_SHORTEST_POLL_SECONDS = 1.0
_GRACE_SECONDS = 120.0
"""How much later than the trigger Airflow ends the waiting: for a triggerer that is down or overworked."""


class WatermarkSensor(BaseSensorOperator):
    """Succeeds once tables are complete up to an instant, and returns the answer (XCom).

    Every mode does the same and says the same: the log has an explanation each time it changes, a time-out names what
    was waited for and who was late. What is complete already passes at once, without the triggerer. A table that does
    not exist fails at once; a catalog that is down is waited for.

    The time-out counts from the first start of the task, over deferrals, reschedules and retries; a task that was
    cleared starts again. `soft_fail` makes a time-out a skip; what is wrong with the arguments fails all the same, as
    nobody would notice otherwise.

    Args:
        table: The table's full name, such as `lake.db.orders`; templated.
        tables: Several of them; templated.
        until: What they have to be complete up to: ISO 8601 (in `time_zone`, where it has no offset), epoch
            milliseconds or a datetime; templated. By default the end of the run's partition, or else of its data
            interval.
        lateness: How much further the watermark has to be, for rows that come late: `5 min`, seconds, or a timedelta.
        quantifier: Whether `all` or `any` of the tables have to be.
        writers: Only these writers count; none: all that are active.
        window: What the run's partition is, `hour` or `day`; by default its key shows it.
        time_zone: Of times and partition keys without offset, and of explanations.
        deferrable: Wait in the triggerer; otherwise as `mode` says.
        poke_interval: How often to look.
        kwargs: What every sensor takes: `timeout`, `mode`, `soft_fail` and so on.
    """

    template_fields: Sequence[str] = ("tables", "until")
    operator_extra_links = (TableLink(),)
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        table: str | None = None,
        tables: Sequence[str] | None = None,
        until: str | datetime | int | None = None,
        lateness: str | float | timedelta = 0,
        quantifier: str = Quantifier.ALL.value,
        writers: Sequence[str] = (),
        window: str | None = None,
        time_zone: str = "UTC",
        deferrable: bool = True,
        poke_interval: timedelta | float = 30,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        if (table is None) == (tables is None):
            raise UsageError(f"Task {self.task_id}: give either `table` or `tables`.")
        self.tables = [table] if table is not None else tables
        self.until = until
        self.lateness_ms = _length_ms(lateness)
        self.quantifier = Quantifier(quantifier).value
        self.writers = [writers] if isinstance(writers, str) else list(writers)
        self.window = parse_kind(window).value if window else None
        parse_zone(time_zone)
        self.time_zone = time_zone
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait, or hand the waiting on to the triggerer.

        Raises:
            AirflowFailException: An argument is wrong, or a table does not exist.
            AirflowSensorTimeout: The time is over.
            AirflowSkipException: The time is over, and that is to be a skip.
        """
        began_ms = times.now_ms()
        condition = self._condition(context)
        reader = open_mark_reader()
        readings = _read(reader, condition)
        found = self._step(condition, readings)
        if found.outcome is Outcome.MET and not context.get("task_reschedule_count"):
            self.log.info("%s", found.explanation)
            return found.answer.to_dict()
        record = _Record(context, began_ms)
        looks = 1
        while True:
            left = self.timeout - record.seconds()
            found = self._step(condition, readings, record=record, left_seconds=left, looks=looks)
            if found.news:
                self.log.info("%s", found.explanation)
                record.keep(found.explanation)
            if found.outcome is Outcome.MET:
                record.forget()
                return found.answer.to_dict()
            if found.outcome is Outcome.LATE:
                self._end(record, condition, found)
            if self.deferrable:
                self._defer(condition, record, left)
            if self.reschedule:
                raise AirflowRescheduleException(times.now() + timedelta(seconds=found.pause_seconds))
            times.sleep(found.pause_seconds)
            looks += 1
            readings = _read(reader, condition)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Goes on after the triggerer has waited.

        Raises:
            AirflowFailException: A table does not exist any more.
            AirflowSensorTimeout: The time is over.
            AirflowSkipException: The time is over, and that is to be a skip.
        """
        record = _Record(context, times.now_ms())
        if event["status"] == FAILED:
            record.forget()
            raise AirflowFailException(event["message"])
        if event["status"] == LATE:  # as in other modes, there is a last look before that
            condition = self._condition(context)
            found = self._step(condition, _read(open_mark_reader(), condition))
            if found.outcome is not Outcome.MET:
                self._end(record, condition, found)
            answer = found.answer.to_dict()
        else:
            answer = event["answer"]
        self.log.info("%s", answer["explanation"])
        record.forget()
        return answer

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Goes on after the triggerer; Airflow's own end of the deferral means that our time is over as well."""
        try:
            # Past BaseSensorOperator, which makes a skip of whatever goes wrong, where `soft_fail` is set.
            return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            return self.execute_complete(context, {"status": LATE})

    def _step(
        self,
        condition: Condition,
        readings: Mapping[str, MarkReading],
        *,
        record: _Record | None = None,
        left_seconds: float | None = None,
        looks: int = 1,
    ) -> Step:
        """Decide what follows from a look, with the pauses that Airflow's own arguments ask for."""
        pause = self._get_next_poke_interval(times.now(), record.seconds, looks) if record else 0.0
        told = record.said if record else ""
        try:
            return step(condition, readings, told=told, left_seconds=left_seconds, poll_seconds=pause)
        except UsageError as error:
            raise AirflowFailException(str(error)) from error

    def _condition(self, context: Context) -> Condition:
        try:
            return Condition(
                tables=self._tables(),
                until_ms=self._until_ms(context),
                lateness_ms=self.lateness_ms,
                quantifier=Quantifier(self.quantifier),
                writers=tuple(self.writers),
                zone=parse_zone(self.time_zone),
            )
        except UsageError as error:
            raise AirflowFailException(f"Task {self.task_id}: {error}") from error

    def _tables(self) -> tuple[str, ...]:
        tables = [self.tables] if isinstance(self.tables, str) else list(self.tables or ())
        if wrong := [table for table in tables if not isinstance(table, str) or not table.strip()]:
            raise UsageError(f"invalid table name {wrong[0]!r} in `tables`.")
        return tuple(tables)

    def _until_ms(self, context: Context) -> int:
        until, zone = self.until, parse_zone(self.time_zone)
        if isinstance(until, datetime):
            return to_ms(until)
        if until is not None and str(until).strip():
            return parse_instant(str(until), zone)
        run: Any = context["dag_run"]
        if run.partition_key is not None:
            kind = parse_kind(self.window) if self.window else None
            # The date of a day is midnight in the zone of Airflow's mapper: that may be within the day before of ours.
            of_our_zone = kind is WindowKind.DAY and names_day(run.partition_key)
            if run.partition_date is not None and kind is not None and not of_our_zone:
                return window_at(kind, to_ms(run.partition_date), zone).end_ms
            return window_of_key(run.partition_key, kind=kind, zone=zone).end_ms
        if run.data_interval_end is not None:
            return to_ms(run.data_interval_end)
        raise UsageError(
            f"run {run.run_id} has neither a partition nor a data interval, so say what to wait for: "
            "until='{{ ... }}'."
        )

    def _defer(self, condition: Condition, record: _Record, left: float) -> NoReturn:
        self.defer(
            trigger=WatermarkTrigger(
                tables=condition.tables,
                until_ms=condition.until_ms,
                lateness_ms=condition.lateness_ms,
                quantifier=condition.quantifier.value,
                writers=condition.writers,
                time_zone=self.time_zone,
                poll_seconds=max(self.poke_interval, _SHORTEST_POLL_SECONDS),
                deadline_ms=times.now_ms() + round(left * 1000),
                said=record.said,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=left + _GRACE_SECONDS),
        )
        raise AssertionError("a deferral does not return")

    def _end(self, record: _Record, condition: Condition, found: Step) -> NoReturn:
        record.forget()
        tell_of_wait(condition, found.answer, waited_seconds=record.seconds(), waiter=f"{self.dag_id}.{self.task_id}")
        waited, allowed = describe_length(round(record.seconds() * 1000)), describe_length(round(self.timeout * 1000))
        message = f"Not complete in time, after {waited} (allowed: {allowed}): {found.explanation}"
        if self.soft_fail or self.never_fail:
            raise AirflowSkipException(message)
        raise AirflowSensorTimeout(message)


class _Record:
    """When the waiting began and what was said last; Airflow keeps it until the waiting is over.

    A process that starts the task again goes on with it, unless someone has cleared the task since.
    """

    def __init__(self, context: Context, began_ms: int) -> None:
        self._store: Any = context["task_state_store"]
        self._tries: int = context["ti"].max_tries  # clearing a task raises it, a retry does not
        kept: Any = self._store.get(RECORD)
        if not isinstance(kept, dict) or kept.get("max_tries") != self._tries:
            kept = {}
        self._began_ms: int = kept.get("began_ms", began_ms)
        self.said: str = kept.get("said", "")

    def seconds(self) -> float:
        """Return how long the waiting has taken."""
        return max(0.0, (times.now_ms() - self._began_ms) / 1000)

    def keep(self, explanation: str) -> None:
        """Keep what was written into the log last."""
        self.said = explanation
        self._store.set(RECORD, {"began_ms": self._began_ms, "max_tries": self._tries, "said": explanation})

    def forget(self) -> None:
        """End the record, because the task may be cleared and run again later."""
        self._store.delete(RECORD)


def _read(reader: MarkReader, condition: Condition) -> dict[str, MarkReading]:
    return {table: reader.read(table) for table in condition.tables}


def _length_ms(lateness: str | float | timedelta) -> int:
    if isinstance(lateness, timedelta):
        return lateness // timedelta(milliseconds=1)
    return parse_length(lateness) if isinstance(lateness, str) else round(lateness * 1000)
