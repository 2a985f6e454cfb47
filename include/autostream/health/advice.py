"""What is said of a job's causes: reasons and fixes in sentences, with numbers from one proposal. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from autostream.findings import Severity
from autostream.health.causes import SCALED_UP, WASTE, causes_of, cpu_of_slots, direction_of
from autostream.health.job_findings import FreedResources, JobFinding, severity_of
from autostream.health.job_view import JobView, operator_name, vertex_figure
from autostream.health.sizing import JobResources, ResourceProposal, is_dedicated, propose
from autostream.health.symptoms import CONFIGURATION, FAILED_STATES, Symptom
from autostream.sizes import format_size
from autostream.telemetry.windows import VertexWindow
from autostream.times import describe_length


def conclude(view: JobView, symptoms: Sequence[Symptom]) -> tuple[tuple[JobFinding, ...], ResourceProposal | None]:
    """Return the findings that tell of symptoms, the dearest first, and the one proposal that their fixes are parts of.

    The proposal is None where it is not known what the job has.
    """
    causes = causes_of(view, symptoms)
    told: dict[str, list[Symptom]] = defaultdict(list)
    for symptom in symptoms:
        told[causes[symptom.name]].append(symptom)
    sized = {name: cause for name, cause in causes.items() if cause in WASTE or cause in SCALED_UP}
    proposal = propose(view, direction_of(set(told)), sized)
    words = _Words(view, proposal)
    found = [words.finding(cause, its) for cause, its in told.items()]
    if (unknown := _unknown_lag(view)) is not None:
        found.append(unknown)
    return tuple(sorted(found, key=lambda finding: (-finding.deduction, finding.id))), proposal


def _unknown_lag(view: JobView) -> JobFinding | None:
    if view.lag is not None or view.record.state in FAILED_STATES or not view.window.figures or view.window.restarts:
        return None  # right after a restart nothing is known of it: that is no lack of the source
    why = view.window.missing.get("pending_records") or view.window.missing.get("event_time_lag_ms")
    return JobFinding(
        _subject(view),
        Severity.INFO,
        f"How far its sources are behind is not known{f': {why}' if why else ''}.",
        "Use a source that reports pendingRecords or currentFetchEventTimeLag, as Kafka's does, to have it judged.",
        "lag-unknown",
    )


def _subject(view: JobView) -> str:
    return f"job {view.window.job}"


@dataclass(frozen=True)
class _Words:
    """Reasons and fixes of one job: all take their numbers from one proposal."""

    view: JobView
    proposal: ResourceProposal | None

    def finding(self, cause: str, symptoms: Sequence[Symptom]) -> JobFinding:
        figures = {name: value for symptom in symptoms for name, value in symptom.figures.items()}
        deduction = math.fsum(symptom.cost for symptom in symptoms)
        if cause.startswith(CONFIGURATION):
            told: _Told = symptoms[0].says, symptoms[0].remedy, {}, FreedResources()
        else:
            told = _TELLERS[cause](self, symptoms)
        reason, fix, changes, frees = told
        severity = severity_of(deduction, is_waste=cause in WASTE)
        return JobFinding(
            _subject(self.view), severity, reason, fix, cause, figures, deduction, changes, frees
        )  # fmt: skip

    # ------- load
    def _io_bound(self, symptoms: Sequence[Symptom]) -> _Told:
        view, used, cores = self.view, self.view.value("cpu_cores_used"), self.view.value("cpu_cores")
        what = f"{self._busy()}, but it uses {_cores(used)} of {_cores(cores)}: it waits for what it calls or writes to"
        if (view.busy or 0.0) < 0.8:
            what = f"{self._lags()}, but it uses {_cores(used)} of {_cores(cores)}: it waits for what it reads or calls"
        return f"{what}{self._and_lags(what)}.", *self._more(
            "io-bound", "or have its calls made asynchronously, or in batches"
        )

    def _cpu_bound(self, symptoms: Sequence[Symptom]) -> _Told:
        used, cores = self.view.value("cpu_cores_used"), self.view.value("cpu_cores")
        what = f"It uses {_cores(used)} of {_cores(cores)} ({_percent(cpu_of_slots(self.view))} of its slots')"
        return f"{what}{self._and_lags(what)}.", *self._more("cpu-bound", "or make the work of a record cheaper")

    def _saturated(self, symptoms: Sequence[Symptom]) -> _Told:
        what = self._busy() if (self.view.busy or 0.0) >= 0.8 else self._back_pressured()
        return f"{what}, while CPU is left{self._and_lags(what)}.", *self._more("saturated-operator", "")

    def _skewed(self, symptoms: Sequence[Symptom]) -> _Told:
        if self.view.skew is None:
            return "The work of its subtasks differs.", "", {}, FreedResources()
        vertex, ratio, of = self.view.skew
        subtasks = round(vertex.figures["parallelism"].last)
        has = "receives" if of == "records" else "is busy for"
        busy = vertex_figure(vertex, "busy_share_max")
        reason = (
            f"One of the {subtasks} subtasks of {operator_name(vertex)} {has} {ratio:.1f} times the mean"
            + ("" if of == "records" else " of their time")
            + (f", and is busy for {_percent(busy.value)} of the time" if busy else "")
            + self._and_lags("")
            + "."
        )
        gain = (
            f"Evenly spread, the same subtasks could do up to {ratio:.1f} times as much: more of them would not help."
        )
        what = (
            " Split the largest keys (a salt in the key and a second aggregation; in SQL: "
            "table.optimizer.distinct-agg.split.enabled), filter them, or give sources at most a subtask a partition."
            if of == "records"
            else " Records are spread more evenly than time: look for costly keys, and for a slow machine."
        )
        return reason, gain + what, {}, FreedResources()

    def _lag_growing(self, symptoms: Sequence[Symptom]) -> _Told:
        return f"{self._lags()}.", *self._more("lag-growing", "")

    def _lag_high(self, symptoms: Sequence[Symptom]) -> _Told:
        lag = self.view.lag
        fix = "Look at what its sources wait for: the lag does not grow, so its resources suffice for what comes now."
        if lag is not None and lag.pending and lag.pending_growth is not None and lag.pending_growth < 0:
            left_ms = round(1000 * lag.pending / -lag.pending_growth)
            fix = f"It catches up by itself in {describe_length(left_ms)} at its present pace: leave it."
        return f"{self._lags()}.", fix, {}, FreedResources()

    # ------- memory, failures, input
    def _memory_too_small(self, symptoms: Sequence[Symptom]) -> _Told:
        view, levels = self.view, {symptom.name for symptom in symptoms}
        says, sets = [], []
        if "gc-high" in levels:
            says.append(f"it spends {_percent(view.gc)} of its time in garbage collection")
        if "heap-full" in levels:
            says.append("garbage collection frees almost nothing of its heap")
        if "metaspace-full" in levels:
            says.append(f"{_percent(view.share('metaspace_used_bytes', 'metaspace_bytes'))} of the metaspace is in use")
        if "direct-full" in levels:
            says.append(f"{_percent(view.share('direct_used_bytes', 'direct_bytes'))} of the direct memory is in use")
        if "container" in levels:
            says.append(
                f"Flink plans with {format_size(view.value('memory_bytes') or 0)}, and its containers are killed above "
                f"{format_size(view.value('container_limit_bytes') or 0)}"
            )
            sets.append("raise the limit of its containers to taskmanager.memory.process.size, or lower that")
        reason = f"{'; '.join(says)}{self._and_lags('')}."
        reason = reason[0].upper() + reason[1:]
        steps = self.proposal.steps_of("memory-too-small") if self.proposal else ()
        sets += [part for step in steps for part in self._changed(step.before, step.after)]
        changes = self._changes() if steps else {}
        fix = (
            _sentence("; ".join(sets))
            if sets
            else "Give its task managers more memory; how much each has is not known."
        )
        return reason, fix, changes, FreedResources()

    def _restarting(self, symptoms: Sequence[Symptom]) -> _Told:
        view = self.view
        if view.record.state in FAILED_STATES:
            reason = "It has failed, and is not restarted."
        else:
            times = view.window.restarts
            reason = f"It restarted {times} {'time' if times == 1 else 'times'} in the window."
        follow = sorted({_FOLLOWS[s.name] for s in symptoms if s.name in _FOLLOWS})
        if follow:
            reason += f" What else is seen follows from it: {', '.join(follow)}."
        return reason, f"See why: autostream flink diagnose {view.window.job}", {}, FreedResources()

    def _checkpoints_failing(self, symptoms: Sequence[Symptom]) -> _Told:
        view, settings = self.view, self.view.record.settings
        failed, completed = view.value("checkpoints_failed") or 0.0, view.value("checkpoints_completed") or 0.0
        reason = f"{failed:.0f} of {failed + completed:.0f} checkpoints failed{self._last_checkpoint()}."
        if view.window.restarts:
            reason += f" It restarted {view.window.restarts} times because of that."
        duration, timeout = view.value("checkpoint_duration_ms"), settings.checkpoint_timeout_ms
        fix = f"See at which subtask, and why: autostream flink diagnose {view.window.job}."
        if duration is not None and timeout and duration > timeout / 2:
            fix += f" The last one that completed took {duration / 1000:.0f} s: set execution.checkpointing.timeout "
            fix += f"{timeout // 1000} s → {math.ceil(3 * duration / 1000)} s."
        return reason, fix, {}, FreedResources()

    def _checkpoint_too_old(self, symptoms: Sequence[Symptom]) -> _Told:
        interval = self.view.record.settings.checkpoint_interval_ms or 0
        reason = (
            f"Checkpoints are due every {describe_length(interval)}{self._last_checkpoint()}: after a failure all "
            "since then is computed again."
        )
        return reason, f"See what holds it up: autostream flink diagnose {self.view.window.job}", {}, FreedResources()

    def _no_input(self, symptoms: Sequence[Symptom]) -> _Told:
        view = self.view
        has = self.proposal.current if self.proposal else None
        held = FreedResources(has.cpu_cores or 0.0, has.memory_bytes or 0) if has else FreedResources()
        reason = f"It has read nothing for {view.minutes:.0f} min, and nothing is known to wait."
        fix = "Check the names of its topics and tables, filters and permissions. If nothing is to come, stop it"
        return reason, f"{fix}{_freeing(held)}.", {}, held

    def _watermark_stalled(self, symptoms: Sequence[Symptom]) -> _Told:
        behind = self.view.value("watermark_lag_ms") or 0.0
        vertex = self._slowest_watermark()
        where = f" It is held back before {operator_name(vertex)}." if vertex else ""
        return (
            f"Its watermark did not move in the window, and is {describe_length(round(behind))} behind, while records "
            f"come in.{where}",
            "Find the input that has no new records, and let its strategy be idle (withIdleness; in SQL: "
            "table.exec.source.idle-timeout).",
            {},
            FreedResources(),
        )

    def _watermark_missing(self, symptoms: Sequence[Symptom]) -> _Told:
        return (
            f"It has no watermark, which it needs: {self.view.window.missing['watermark_lag_ms']}.",
            "Give its sources a WatermarkStrategy (in SQL: WATERMARK FOR in the table), or see whether all are idle.",
            {},
            FreedResources(),
        )

    # ------- waste
    def _over_provisioned(self, symptoms: Sequence[Symptom]) -> _Told:
        view = self.view
        reason = (
            f"Its busiest subtask is busy for {_percent(view.busy)} of the time, at a parallelism of {view.parallelism}"
        )
        if view.cpu is not None:
            reason += f"; it uses {_cores(view.value('cpu_cores_used'))} of {_cores(view.value('cpu_cores'))}"
        return f"{reason}.", *self._less("over-provisioned-parallelism")

    def _idle_slots(self, symptoms: Sequence[Symptom]) -> _Told:
        slots, used = self.view.value("slots") or 0.0, self.view.value("slots_used") or 0.0
        return f"{slots - used:.0f} of the {slots:.0f} slots of its task managers are idle.", *self._less("idle-slots")

    def _cpu_over_allotted(self, symptoms: Sequence[Symptom]) -> _Told:
        used, cores = self.view.value("cpu_cores_used"), self.view.value("cpu_cores")
        reason = f"It uses {_cores(used)} of {_cores(cores)} ({_percent(self.view.cpu)})."
        return reason, *self._less("cpu-over-allotted")

    def _memory_over_allotted(self, symptoms: Sequence[Symptom]) -> _Told:
        view = self.view
        pools = [
            f"{format_size(view.value(f'{name}_used_bytes') or 0)} of {format_size(size)} {called}"
            for name, called in (("heap", "heap"), ("managed", "managed memory"))
            if (size := view.value(f"{name}_bytes")) and view.value(f"{name}_used_bytes") is not None
        ]
        reason = f"It uses {' and '.join(pools)}"
        if view.gc is not None:
            reason += f", and spends {_percent(view.gc)} of its time in garbage collection"
        return f"{reason}.", *self._less("memory-over-allotted")

    def _less(self, cause: str) -> tuple[str, Mapping[str, Any], FreedResources]:
        """Return the fix of a finding about waste: what to set, what that frees, and what use is to be expected."""
        steps = self.proposal.steps_of(cause) if self.proposal else ()
        if self.proposal is None or not steps:
            return "Look at it again once its other findings are gone.", {}, FreedResources()
        now, then = self.proposal.current, self.proposal.target
        cores = math.fsum((step.before.cpu_cores or 0.0) - (step.after.cpu_cores or 0.0) for step in steps)
        memory = sum((step.before.memory_bytes or 0) - (step.after.memory_bytes or 0) for step in steps)
        frees = FreedResources(  # and no more than the whole proposal does, which may take some back
            max(0.0, min(cores, (now.cpu_cores or 0.0) - (then.cpu_cores or 0.0))),
            max(0, min(memory, (now.memory_bytes or 0) - (then.memory_bytes or 0))),
        )
        # One after the other, they read as one, unless another finding's are in between.
        pairs = [(steps[0].before, steps[-1].after)]
        if any(one.after != next_one.before for one, next_one in pairwise(steps)):
            pairs = [(step.before, step.after) for step in steps]
        fix = _sentence(", ".join(part for pair in pairs for part in self._changed(*pair))).removesuffix(".")
        used = self.view.value("cpu_cores_used")
        known = bool(frees.cpu_cores) and used is not None and then.cpu_cores
        use = f"; expected CPU use {_percent((used or 0.0) / known)}" if known else ""
        return f"{fix}{_freeing(frees)}{use}.", self._changes(), frees

    def _changed(self, before: JobResources, after: JobResources) -> list[str]:
        parts = []
        if before.parallelism != after.parallelism:
            parts.append(f"parallelism {before.parallelism} → {after.parallelism}")
        if before.task_managers != after.task_managers:
            same = " at the same parallelism" if before.parallelism == after.parallelism else ""
            parts.append(f"task managers {before.task_managers} → {after.task_managers}{same}")
        cores = [(r.cpu_cores or 0.0) / (r.task_managers or 1) for r in (before, after)]
        if is_dedicated(self.view) and not math.isclose(*cores):
            parts.append(f"cores of each task manager {cores[0]:g} → {cores[1]:g}")
        for name, option in _MEMORY_OPTIONS:
            old, new = getattr(before, name), getattr(after, name)
            if old is not None and new is not None and old != new:
                parts.append(f"{option} {format_size(old)} → {format_size(new)}")
        return parts

    # ------- parts of sentences
    def _busy(self) -> str:
        found = self.view.busiest
        if found is None:
            return f"Its busiest subtask is busy for {_percent(self.view.busy)} of the time"
        return f"{operator_name(found[0])} is busy for {_percent(found[1])} of the time"

    def _back_pressured(self) -> str:
        waits = self.view.value("back_pressured_share_max")
        last = [
            v
            for v in self.view.window.vertices
            if (s := vertex_figure(v, "back_pressured_share_max")) and s.value >= 0.1
        ]
        order = list(self.view.window.vertices)
        after = order[order.index(last[-1]) + 1 :] if last else []
        what = f": what it waits for is {operator_name(after[0])}" if after else ""
        return f"A subtask waits for {_percent(waits)} of the time for those behind it{what}"

    def _lags(self) -> str:
        lag = self.view.lag
        if lag is None:
            return "It is behind"
        behind = "It reads nothing" if math.isinf(lag.seconds) else f"It is {_seconds(lag.seconds)} behind"
        if lag.pending is not None:
            behind += f" ({lag.pending:,.0f} records wait"
            grows = lag.pending_growth is not None and lag.pending_growth > 0
            behind += f", {lag.pending_growth:,.0f} more each second)" if grows else ")"
        elif lag.growth:
            behind += f", and {lag.growth * 60:.0f} s more each minute"
        return behind

    def _and_lags(self, said: str) -> str:
        if self.view.lag is None or self.view.lag.seconds < 30 or "behind" in said:
            return ""
        lags = self._lags()
        return f"; {lags[0].lower()}{lags[1:]}"

    def _last_checkpoint(self) -> str:
        age = self.view.figure("checkpoint_age_ms")
        return (
            "; none has completed" if age is None else f"; the last good one is {describe_length(round(age.last))} old"
        )

    def _slowest_watermark(self) -> VertexWindow | None:
        known = [(v, s.last) for v in self.view.window.vertices if (s := vertex_figure(v, "watermark_lag_ms"))]
        return max(known, key=lambda one: one[1])[0] if known else None

    def _task_managers(self, now: JobResources, then: JobResources) -> str:
        if now.task_managers == then.task_managers or now.task_managers is None:
            return ""
        return f", task managers {now.task_managers} → {then.task_managers}"

    def _more(self, cause: str, instead: str) -> tuple[str, Mapping[str, Any], FreedResources]:
        """Return the fix of a job that cannot keep up: its parallelism, what that takes, and what is to be expected."""
        proposal = self.proposal
        other = f" {_sentence(instead)}" if instead else ""
        if proposal is None:
            return f"Give it more subtasks; how many it has is not known.{other}", {}, FreedResources()
        steps = proposal.steps_of(cause)
        now, then = (steps[0].before, steps[-1].after) if steps else (proposal.current, proposal.current)
        if proposal.alone:
            one = proposal.alone
            fix = f"Parallelism of {one.name} {one.current} → {one.target}.{other}"
            return fix, self._changes(), FreedResources()
        parts = []
        if then.parallelism > now.parallelism:
            parts.append(f"parallelism {now.parallelism} → {then.parallelism}{self._task_managers(now, then)}")
        each = [(r.cpu_cores or 0.0) / (r.task_managers or 1) for r in (now, then)]
        if each[1] > each[0] and is_dedicated(self.view):
            parts.append(f"cores of each task manager {each[0]:g} → {each[1]:g}")
        if proposal.capped_by is not None:
            parts.append(f"its max parallelism of {proposal.capped_by} allows no more")
        taken = max(0.0, (then.cpu_cores or 0.0) - (now.cpu_cores or 0.0))
        memory = max(0, (then.memory_bytes or 0) - (now.memory_bytes or 0))
        takes = f": takes {_amount(FreedResources(taken, memory))}" if taken or memory else ""
        if not parts:
            return (
                f"Its parallelism of {now.parallelism} is what it needs by these figures.{other}",
                {},
                FreedResources(),
            )
        return f"{_sentence(', '.join(parts)).removesuffix('.')}{takes}.{other}", self._changes(), FreedResources()

    def _changes(self) -> dict[str, Any]:
        """Return what the one proposal of the job changes."""
        if self.proposal is None:
            return {}
        now, then, one = self.proposal.current, self.proposal.target, self.proposal.alone
        alone = {"vertex_parallelism": {one.vertex_id: one.target}} if one else {}
        return alone | {
            name: after
            for name in ("parallelism", "task_managers", "cpu_cores", "memory_bytes")
            if (after := getattr(then, name)) is not None and after != getattr(now, name)
        }


_Told = tuple[str, str, Mapping[str, Any], FreedResources]

_TELLERS: Final = {
    "io-bound": _Words._io_bound,
    "cpu-bound": _Words._cpu_bound,
    "saturated-operator": _Words._saturated,
    "skew": _Words._skewed,
    "lag-growing": _Words._lag_growing,
    "lag-high": _Words._lag_high,
    "memory-too-small": _Words._memory_too_small,
    "restarting": _Words._restarting,
    "checkpoints-failing": _Words._checkpoints_failing,
    "checkpoint-too-old": _Words._checkpoint_too_old,
    "no-input": _Words._no_input,
    "watermark-stalled": _Words._watermark_stalled,
    "watermark-missing": _Words._watermark_missing,
    "over-provisioned-parallelism": _Words._over_provisioned,
    "idle-slots": _Words._idle_slots,
    "cpu-over-allotted": _Words._cpu_over_allotted,
    "memory-over-allotted": _Words._memory_over_allotted,
}

FINDING_IDS: Final = frozenset(_TELLERS) | {"lag-unknown"}
"""Ids of all findings but those about traps in the configuration."""

_MEMORY_OPTIONS: Final = (
    ("process_bytes", "taskmanager.memory.process.size"),
    ("heap_bytes", "heap of each task manager"),
    ("managed_bytes", "taskmanager.memory.managed.size"),
    ("metaspace_bytes", "taskmanager.memory.jvm-metaspace.size"),
    ("off_heap_bytes", "off-heap memory of each task manager"),
)

_FOLLOWS: Final = {
    "lag": "lag",
    "lag-growth": "lag",
    "back-pressure": "back pressure",
    "failed-checkpoints": "failed checkpoints",
    "checkpoint-age": "old checkpoint",
    "no-input": "no input",
    "watermark-stalled": "watermark that does not move",
}


def _freeing(frees: FreedResources) -> str:
    return f": frees {_amount(frees)}" if frees.cpu_cores or frees.memory_bytes else ""


def _amount(amount: FreedResources) -> str:
    parts = [_cores(amount.cpu_cores)] if amount.cpu_cores else []
    return ", ".join([*parts, *([format_size(amount.memory_bytes)] if amount.memory_bytes else [])])


def _cores(value: float | None) -> str:
    if value is None:
        return "an unknown number of cores"
    shown = f"{value:.2f}" if value < 1 else f"{value:.1f}"
    return f"{shown.rstrip('0').rstrip('.') if '.' in shown else shown} {'core' if value == 1 else 'cores'}"


def _percent(share: float | None) -> str:
    if share is None:
        return "an unknown share"
    return f"{share * 100:.0f} %" if share >= 0.1 or not share else f"{share * 100:.1f} %"


def _seconds(seconds: float) -> str:
    return describe_length(round(seconds) * 1000)


def _sentence(text: str) -> str:
    # Names of options keep their first letter.
    first = text if text.startswith("taskmanager.") else text[:1].upper() + text[1:]
    return f"{first}."
