"""Log levels of clusters, changed while they run, for a while: set, reset, listed.

Each step is in the journal before it is taken, with who and why. So whoever comes next, after a crash too, knows what
the configuration must be, takes the step that was not taken, and resets what is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from autostream import times
from autostream.account import this_account
from autostream.config.sections.flink import FlinkSettings
from autostream.diagnosis.level_changes import (
    FORGOTTEN,
    NOT_SET,
    RESET,
    SET,
    SETTLED,
    STREAMS,
    LevelChange,
    LevelState,
    fold,
)
from autostream.diagnosis.level_targets import LevelTarget, level_target_of
from autostream.diagnosis.log4j_text import checked_level, checked_logger, is_log4j2, watched_seconds
from autostream.errors import AutostreamError, ConfigurationError, ConflictError, UsageError
from autostream.names import JobName
from autostream.store.database import Database
from autostream.store.journal import Journal, NewEntry
from autostream.times import describe_length

LONGEST_MS: Final = 24 * 3_600_000
"""A level that is to stay longer belongs into the configuration itself."""

_TRIES: Final = 5

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LevelsSet:
    """What was changed.

    Attributes:
        changes: The levels that are changed now.
        place: Where the configuration is.
        seen_within_seconds: By when the cluster's processes have read it.
    """

    changes: tuple[LevelChange, ...]
    place: str
    seen_within_seconds: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "changes": [change.to_dict() for change in self.changes],
            "place": self.place,
            "seen_within_seconds": self.seen_within_seconds,
        }


class LogLevels:
    """The log levels of all clusters.

    Args:
        settings: The section `flink`.
        database: Where the journal is.
        level_target_of: Where a cluster's log configuration is; as configured by default.
    """

    def __init__(
        self,
        settings: FlinkSettings,
        database: Database,
        *,
        level_target_of: Callable[[FlinkSettings, str], LevelTarget] = level_target_of,
    ) -> None:
        """Touch nothing yet."""
        self._settings = settings
        self._database = database
        self._level_target_of = level_target_of

    def set(self, job: str | JobName, logger: str, level: str, *, for_ms: int, why: str = "") -> LevelsSet:
        """Change a level for a while, for all processes and jobs of a job's cluster.

        Args:
            job: CLUSTER/NAME.
            logger: A class or a package, or `root`.
            level: `DEBUG`, `TRACE`, `INFO` and so on.
            for_ms: After how long it is reset, by whichever autostream runs then.
            why: Why, for the journal.

        Raises:
            UsageError: There is no such level, or it cannot stay so long.
            NotFoundError: There is no such cluster, or its configuration is not where it is said to be.
            ConfigurationError: The deployment cannot do it; the message says what it lacks.
            ConflictError: Others have written the configuration since it was changed, or do so now.
            ServiceError: The configuration or the database cannot be read or written.
        """
        cluster = _cluster_of(job)
        logger, level = checked_logger(logger), checked_level(level)
        if not 1000 <= for_ms <= LONGEST_MS:
            raise UsageError(
                f"A level cannot be set for {describe_length(for_ms)}. Choose between 1s and 24h; what is to stay "
                "belongs into the configuration itself."
            )
        target = self._level_target_of(self._settings, cluster)
        state = self._settle(cluster, target)
        text, _ = target.read()
        watched = _watched(text, target)
        now_ms = times.now_ms()
        body = {"logger": logger, "level": level, "until_ms": now_ms + for_ms, "place": target.place}
        if state.baseline is None:
            body["baseline"] = text
        number = self._append(cluster, state, SET, body, why=why, now_ms=now_ms)
        try:
            state = self._settle(cluster, target)
        except AutostreamError as error:
            state = self._after_failure(cluster, target, number, error)
        return LevelsSet(state.active, target.place, watched + target.slow_seconds)

    def reset(
        self, job: str | JobName, *, loggers: Collection[str] = (), why: str = "", forget: bool = False
    ) -> tuple[LevelChange, ...]:
        """Reset levels of a job's cluster to what they were; return what was reset.

        Args:
            job: CLUSTER/NAME.
            loggers: Only these; none: all that are changed.
            why: Why, for the journal.
            forget: Do not touch the configuration, which others have written since: it is theirs from now on.

        Raises:
            UsageError: The level of such a logger is not changed.
            ConflictError: Others have written the configuration since; it is left as it is.
            AutostreamError: As `set`.
        """
        cluster = _cluster_of(job)
        if forget:
            state = self._state(cluster)
            if state.wanted is not None:
                self._append(cluster, state, FORGOTTEN, {}, why=why)
            return state.active
        state = self._state(cluster)
        if state.wanted is not None:
            state = self._settle(cluster, self._level_target_of(self._settings, cluster))
        chosen = tuple(one for one in state.active if not loggers or one.logger in loggers)
        for name in loggers:
            if name not in {one.logger for one in chosen}:
                changed = ", ".join(one.logger for one in state.active) or "none"
                raise UsageError(f"The level of {name!r} is not changed in cluster {cluster}. Changed are: {changed}.")
        return self._undo(cluster, state, chosen, why=why)

    def changes(self, job: str | JobName | None = None) -> tuple[LevelChange, ...]:
        """Return the levels that are changed now, of a job's cluster or of all."""
        clusters = [_cluster_of(job)] if job is not None else self._clusters()
        return tuple(change for cluster in clusters for change in self._state(cluster).active)

    def reset_due(self) -> tuple[tuple[LevelChange, ...], tuple[str, ...]]:
        """Reset what is due, in all clusters; each on its own.

        What a crash has left half done is done, too.

        Returns:
            What was reset, and what could not be: one message each.
        """
        done: list[LevelChange] = []
        problems = []
        for cluster in self._clusters():
            try:
                if self._state(cluster).wanted is None:
                    continue
                state = self._settle(cluster, self._level_target_of(self._settings, cluster))
                done += self._undo(cluster, state, state.due(times.now_ms()), why="its time is over")
            except AutostreamError as error:
                problems.append(f"Log levels of cluster {cluster} cannot be reset: {error}")
        return tuple(done), tuple(problems)

    def _after_failure(self, cluster: str, target: LevelTarget, number: int, error: AutostreamError) -> LevelState:
        """Return the state where a change has been made all the same; else take it out of the journal and raise.

        Where that cannot be found out the change stays in the journal: it is made later, or reset when it is due.
        """
        state = self._state(cluster)
        try:
            verdict = state.judge(target.read()[0])
        except AutostreamError:
            raise error from None
        if verdict == "as-wanted":
            return state
        self._append(cluster, state, NOT_SET, {"numbers": [number]}, why=str(error))
        raise error

    def _undo(
        self, cluster: str, state: LevelState, chosen: tuple[LevelChange, ...], *, why: str
    ) -> tuple[LevelChange, ...]:
        if chosen:
            self._append(cluster, state, RESET, {"numbers": [one.number for one in chosen]}, why=why)
            self._settle(cluster, self._level_target_of(self._settings, cluster))
        return chosen

    def _settle(self, cluster: str, target: LevelTarget) -> LevelState:
        """Bring the configuration to what the journal says, and return that.

        Raises:
            ConflictError: Others have written it.
        """
        for _ in range(_TRIES):
            state = self._state(cluster)
            if state.wanted is None:
                return state
            text, version = target.read()
            match state.judge(text):
                case "step-not-taken":
                    try:
                        target.write(state.wanted, version=version)
                    except ConflictError:
                        continue  # by another autostream, perhaps: what it wrote is judged again
                case "changed-by-others":
                    raise self._theirs(cluster, target, state)
            if state.active:
                return state
            try:
                self._append(cluster, state, SETTLED, {})
            except ConflictError:
                continue
        raise ConflictError(f"Others keep changing the {target.place}. Try again when they have finished.")

    def _theirs(self, cluster: str, target: LevelTarget, state: LevelState) -> ConflictError:
        levels = ", ".join(f"{one.logger} {one.level} (before: {one.before or 'none'})" for one in state.active)
        return ConflictError(
            f"Others have written the {target.place} since autostream changed log levels in it "
            f"({levels or 'all reset'}), so it is left as it is. Correct the levels there by hand, then run: "
            f"autostream flink log-level {cluster}/JOB --reset --forget"
        )

    def _clusters(self) -> list[str]:
        with self._database.read() as connection:
            return [stream.removeprefix(STREAMS) for stream in Journal(connection).streams(STREAMS)]

    def _state(self, cluster: str) -> LevelState:
        with self._database.read() as connection:
            return fold(cluster, Journal(connection).read(STREAMS + cluster))

    def _append(
        self,
        cluster: str,
        state: LevelState,
        kind: str,
        body: dict[str, Any],
        *,
        why: str = "",
        now_ms: int | None = None,
    ) -> int:
        entry = NewEntry(kind=kind, by=this_account(), why=why, body=body)
        with self._database.write() as connection:
            (appended,) = Journal(connection).append(
                STREAMS + cluster,
                [entry],
                now_ms=times.now_ms() if now_ms is None else now_ms,
                expected_version=state.version,
            )
        told = " ".join(str(body[key]) for key in ("logger", "level", "numbers") if key in body)
        _logger.info("cluster %s: %s %s", cluster, kind, told)
        return appended.version


def _cluster_of(job: str | JobName) -> str:
    return (JobName.parse(job) if isinstance(job, str) else job).cluster


def _watched(text: str, target: LevelTarget) -> int:
    """Return how often processes look at a configuration.

    Raises:
        ConfigurationError: It is of another kind, or they never do.
    """
    if not is_log4j2(text):
        raise ConfigurationError(
            f"The {target.place} is not a log4j.properties of Log4j 2 (it has no rootLogger), so log levels cannot be "
            "changed in it. autostream changes neither Logback nor the XML and YAML of Log4j."
        )
    seconds = watched_seconds(text)
    if seconds is None:
        raise ConfigurationError(
            f"The {target.place} has no monitorInterval, so the cluster's processes would not see a change. Add "
            "monitorInterval = 30 and restart them once."
        )
    return seconds
