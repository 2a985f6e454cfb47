"""The service that looks at Flink clusters, each in a thread of its own, and writes samples into the database.

Of several such services one looks at each cluster: the one that holds the lease of the cluster in the database, and
renews it in the transaction that writes the samples. A cluster or a service that hangs delays nobody else.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from autostream import times
from autostream.config.sections.flink import FlinkSettings
from autostream.config.sections.telemetry import TelemetrySettings
from autostream.coordination.lock_holder import Holder
from autostream.errors import AutostreamError, ConfigurationError
from autostream.flink.cluster import open_clusters
from autostream.flink.fleet import Fleet, FleetClusters
from autostream.flink.rest import FlinkRest
from autostream.http import Limits
from autostream.names import JobName
from autostream.store.chores import take_chore
from autostream.store.database import Database
from autostream.store.leases import forget_leases, leases, release_lease, take_lease
from autostream.telemetry.job_records import JobRecord
from autostream.telemetry.log import Keeping, TelemetryLog
from autostream.telemetry.looking import SETTLE_SECONDS, ClusterWatch
from autostream.telemetry.prometheus import PrometheusSource
from autostream.telemetry.sharing import chosen_collector
from autostream.telemetry.sweeps import SampleSource, Sweep

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Two looks that are further apart than so many intervals have a gap between them.
_LONGEST_INTERVALS: Final = 2.5
_LEASE_INTERVALS: Final = 3
_ROLLED_UP_A_LOOK: Final = 20
_CHORE: Final = "forget what Flink samples leave behind"
_CHORE_EVERY_MS: Final = 3_600_000

_STEP_SECONDS: Final = 0.25
# A request that does not answer is not sent again: the next look asks for the same.
_LIMITS: Final = Limits(connect_seconds=3.0, read_seconds=10.0, tries=1)

_logger = logging.getLogger(__name__)


@dataclass
class ClusterTally:
    """What became of the looks at one cluster.

    Attributes:
        cluster: Its name.
        looks: How many have succeeded.
        failed: How many have not.
        samples: How many samples were written.
        seconds: How long the last look took.
        problem: Why the last look has failed, or what it could not read; empty where nothing was wrong.
    """

    cluster: str
    looks: int = 0
    failed: int = 0
    samples: int = 0
    seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class _Common:
    """What the threads of all clusters share."""

    database: Database
    settings: TelemetrySettings
    holder: str
    stop: threading.Event

    @property
    def lease_ms(self) -> int:
        return self.settings.interval_seconds * 1000 * _LEASE_INTERVALS

    @property
    def keeping(self) -> Keeping:
        return Keeping(self.settings.keep_samples_days, self.settings.keep_days)


class Collector:
    """Looks at clusters until it is told to stop."""

    def __init__(
        self,
        flink: FlinkSettings,
        settings: TelemetrySettings,
        database: Database,
        *,
        interval_seconds: int | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        discover: Callable[[], FleetClusters] | None = None,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            flink: The clusters, and whose their jobs are.
            settings: Which of them, and how often.
            database: Where samples go.
            interval_seconds: How often, if not as `settings` say.
            settle_seconds: See `looking.SETTLE_SECONDS`.
            discover: Finds the clusters that come and go; by default those of `flink.kubernetes`, unless
                `telemetry.flink_clusters` names the ones to look at.

        Raises:
            ConfigurationError: There is no such cluster, or its certificates cannot be read.
        """
        if interval_seconds is not None:
            settings = settings.model_copy(update={"interval_seconds": interval_seconds})
        sources = _sources(flink, settings, settle_seconds)
        self._stop = threading.Event()
        who = Holder.of_this_process("flink watch")
        holder = f"{who.user or 'unknown'}@{who.host}:{who.pid}:{uuid4().hex[:8]}"
        self._common = _Common(database, settings, holder, self._stop)
        # Spread over the interval: the work of many clusters is even.
        apart_seconds = settings.interval_seconds / max(len(sources), 1)
        self._loops = [
            _ClusterLoop(self._common, source, offset_seconds=number * apart_seconds)
            for number, source in enumerate(sources)
        ]
        self._threads: list[threading.Thread] = []
        self._flink, self._settle_seconds = flink, settle_seconds
        if discover is None and flink.kubernetes and not settings.flink_clusters:
            discover = Fleet(flink, limits=_LIMITS).clusters
        self._discover = discover

    @property
    def tallies(self) -> list[ClusterTally]:
        """What became of the looks at each cluster so far."""
        return [replace(loop.tally) for loop in self._loops]

    def run(
        self,
        stop: threading.Event,
        *,
        seconds: float | None = None,
        on_step: Callable[[], None] = lambda: None,
        grace_seconds: float = 20.0,
    ) -> None:
        """Look at the clusters until told to stop, or for some time; looks that are under way are finished.

        A look that hangs is left behind: its samples would not be written any more.

        Args:
            stop: Set by whoever wants it to stop.
            seconds: For how long; None until it is told to stop.
            grace_seconds: How long to wait for looks that are under way.
            on_step: Called again and again while it runs: whoever watches it knows by that that it lives.

        Raises:
            ServiceError: The database cannot be used at the start.
            ConfigurationError: Its schema is not of this version.
        """
        self._common.database.prepare()
        end = math.inf if seconds is None else times.monotonic() + seconds
        for loop in self._loops:
            self._start(loop)
        if self._discover is not None:
            threading.Thread(target=self._keep_discovering, name="discovery", daemon=True).start()
        try:
            while not stop.wait(_STEP_SECONDS) and times.monotonic() < end:
                on_step()
        finally:
            self._stop.set()
            deadline = times.monotonic() + grace_seconds
            for thread in self._threads:
                thread.join(max(deadline - times.monotonic(), 0.0))
            self.leave()

    def step(self) -> None:
        """Look once at each cluster that is this collector's, one after the other."""
        self._follow()
        for loop in self._loops:
            if not loop.gone:
                loop.step()

    def _start(self, loop: _ClusterLoop) -> None:
        thread = threading.Thread(target=loop.run, name=loop.tally.cluster, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_discovering(self) -> None:
        while not self._stop.is_set():
            try:
                for loop in self._follow():
                    self._start(loop)
            except Exception:
                _logger.exception("Finding Flink clusters failed.")
            self._stop.wait(self._common.settings.interval_seconds)

    def _follow(self) -> list[_ClusterLoop]:
        """Find the clusters that there are now: look at new ones from now on, and no more at those that are gone."""
        if self._discover is None:
            return []
        now = self._discover()
        known = {loop.tally.cluster: loop for loop in self._loops if not loop.gone}
        new = []
        for name, cluster in now.found.items():
            if isinstance(cluster, AutostreamError) or cluster.deployment is None or cluster.flink is None:
                continue
            loop = known.get(name)
            if loop is None:
                watch = ClusterWatch(
                    name,
                    cluster.flink.rest,
                    rules=self._flink.jobs,
                    threads=self._common.settings.concurrency,
                    settle_seconds=self._settle_seconds,
                )
                loop = _ClusterLoop(self._common, watch, offset_seconds=0.0, discovered=watch)
                new.append(loop)
            if loop.discovered is not None:
                limit_bytes = cluster.deployment.task_managers.memory_bytes
                loop.discovered.update(cluster.flink.rest, cluster.labels_of, container_limit_bytes=limit_bytes)
        for name, loop in known.items():
            # Where its Kubernetes cannot be asked, a cluster is not gone.
            if loop.discovered is not None and name not in now.found and not now.undiscovered:
                loop.gone = True
        self._loops += new
        return new

    def leave(self) -> None:
        """Let other collectors look at the clusters at once."""
        try:
            with self._common.database.write() as connection:
                for loop in sorted(self._loops, key=lambda loop: loop.tally.cluster):
                    loop.leave(connection)
        except AutostreamError as error:
            _logger.warning("The leases of this process run out by themselves: %s", error)


def _sources(flink: FlinkSettings, settings: TelemetrySettings, settle_seconds: float) -> list[SampleSource]:
    opened = open_clusters(flink, settings.flink_clusters, named_by="telemetry.flink_clusters")
    by_name = {cluster.name: cluster for cluster in flink.clusters}
    for server in settings.prometheus:
        if server.name in {cluster.name for cluster in opened}:
            raise ConfigurationError(
                f"Both a Flink cluster and a Prometheus server are called {server.name}, so its jobs would be sampled "
                "twice. Rename one, or list in `telemetry.flink_clusters` the clusters that are asked themselves."
            )
    clusters = [
        ClusterWatch(
            cluster.name,
            FlinkRest(by_name[cluster.name], limits=_LIMITS),
            rules=flink.jobs,
            threads=settings.concurrency,
            settle_seconds=settle_seconds,
        )
        for cluster in opened
    ]
    servers = [
        PrometheusSource(
            server,
            interval_seconds=settings.interval_seconds,
            queries=settings.queries,
            rules=flink.jobs,
            limits=_LIMITS,
        )
        for server in settings.prometheus
    ]
    return [*clusters, *servers]


class _ClusterLoop:
    """Looks at one cluster again and again."""

    def __init__(
        self,
        common: _Common,
        source: SampleSource,
        *,
        offset_seconds: float,
        discovered: ClusterWatch | None = None,
    ) -> None:
        self.discovered = discovered
        self.gone = False
        self.tally = ClusterTally(source.cluster)
        self._common, self._source, self._offset_seconds = common, source, offset_seconds
        self._lease = f"flink watch: {source.cluster}"
        self._candidates = f"flink watch: {source.cluster} by "
        self._candidate = self._candidates + sha256(common.holder.encode()).hexdigest()[:16]
        self._written: dict[JobName, JobRecord] = {}
        self._said = ""

    def run(self) -> None:
        interval = self._common.settings.interval_seconds
        due = times.monotonic() + self._offset_seconds
        # The first look is at once: samples begin with the second one, which keeps its distance from those of others.
        while not (self.gone or self._common.stop.is_set()):
            self.step()
            while due <= times.monotonic():
                due += interval
            self._common.stop.wait(due - times.monotonic())

    def step(self) -> None:
        """Look once, if this process is the one to do it, and write what is seen."""
        begun = times.monotonic()
        try:
            if not self._is_ours():
                self._source.forget()
                self._written = {}
                return
            longest_ms = int(self._common.settings.interval_seconds * 1000 * _LONGEST_INTERVALS)
            sweep = self._source.sweep(longest_ms=longest_ms)
            self.tally.samples += self._write(sweep)
            self._age()
        except AutostreamError as error:
            self.tally.failed += 1
            self._say(str(error))
        except Exception:
            self.tally.failed += 1
            self._say("Looking at it failed unexpectedly. The log has the details.")
            _logger.exception("Looking at Flink cluster %s failed.", self._source.cluster)
        else:
            self.tally.looks += 1
            self._say("; ".join(sweep.problems[:3]))
        self.tally.seconds = times.monotonic() - begun

    def _is_ours(self) -> bool:
        common = self._common
        with common.database.write() as connection:
            take_lease(connection, self._candidate, holder=common.holder, for_ms=common.lease_ms)
            candidates = [lease.holder for lease in leases(connection, self._candidates) if lease.left_ms > 0]
            if chosen_collector(self._source.cluster, candidates) != common.holder:
                release_lease(connection, self._lease, holder=common.holder)
                return False
            return self._renew(connection)

    def leave(self, connection: Connection) -> None:
        """Let others look at the cluster at once."""
        for lease in (self._lease, self._candidate):
            release_lease(connection, lease, holder=self._common.holder)

    def _renew(self, connection: Connection) -> bool:
        return take_lease(connection, self._lease, holder=self._common.holder, for_ms=self._common.lease_ms)

    def _write(self, sweep: Sweep) -> int:
        records = {record.job: record for record in sweep.records}
        changed = [record for job, record in records.items() if _differs(self._written.get(job), record)]
        with self._common.database.write() as connection:
            if not self._renew(connection):
                self._source.forget()
                return 0
            log = TelemetryLog(connection)
            log.put(changed)
            log.mark_seen(self._source.cluster, sweep.states, now_ms=sweep.at_ms)
            log.add(sweep.samples)
        self._source.written(sweep)
        self._written = records
        return len(sweep.samples)

    def _age(self) -> None:
        """Roll up and forget what is due: some jobs at each look, so that no look waits long."""
        for _ in range(_ROLLED_UP_A_LOOK):
            with self._common.database.write() as connection:
                if TelemetryLog(connection).roll_up_next(now_ms=times.now_ms(), keeping=self._common.keeping) is None:
                    break
        with self._common.database.write() as connection:
            if take_chore(connection, _CHORE, now_ms=times.now_ms(), every_ms=_CHORE_EVERY_MS):
                TelemetryLog(connection).forget_outlines(now_ms=times.now_ms(), keeping=self._common.keeping)
                forget_leases(connection, older_than_ms=times.DAY_MS)

    def _say(self, problem: str) -> None:
        self.tally.problem = problem
        if problem == self._said:
            return
        if problem:
            _logger.warning("Flink cluster %s: %s", self._source.cluster, problem)
        else:
            _logger.info("Flink cluster %s: in order again", self._source.cluster)
        self._said = problem


def _differs(written: JobRecord | None, record: JobRecord) -> bool:
    """Say whether more has changed than its state and when it was seen, which are noted anyway."""
    return written is None or replace(written, state=record.state, seen_ms=record.seen_ms) != record
