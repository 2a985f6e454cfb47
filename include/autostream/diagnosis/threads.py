"""Thread dumps: what each thread does, what it waits for, and who has that. Pure.

Java writes a thread as its name, its number and state, the lock that it is blocked or waits on and who owns it, its
stack, and the locks that it holds: `java.lang.management.ThreadInfo`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from autostream.findings import Finding, Severity
from autostream.spelling import counted, shortened

_HEAD: Final = re.compile(
    r'"(?P<name>.*)"(?: daemon)?(?: prio=\d+)? Id=(?P<number>\d+) (?P<state>[A-Z_]+)'
    r"(?: on (?P<lock>\S+@[0-9a-f]+))?(?: owned by \"(?P<owner>.*)\" Id=(?P<owner_number>\d+))?",
    re.DOTALL,
)
_AT: Final = re.compile(r"\s*at (?P<place>.+)")
_HOLDS: Final = re.compile(r"\s*-\s+(?:locked )?(?P<lock>\S+@[0-9a-f]+)\s*$")
_WAITS: Final = re.compile(r"\s*-\s+(?:blocked on|waiting on|parking to wait for)\s+(?P<lock>\S+@[0-9a-f]+)")
_MODULE: Final = re.compile(r"^[\w.@+-]*//?")
# Where threads of a pool wait for work; such a thread is not stuck.
_AT_REST: Final = re.compile(
    r"ThreadPoolExecutor\.getTask|ForkJoinPool\.(?:runWorker|awaitWork)|ReferenceQueue\.remove|"
    r"processMailsWhenDefaultActionUnavailable|TaskMailboxImpl\.take|SingleThreadEventExecutor\.run|"
    r"Reference\.waitForReferencePendingList|TimerThread\.mainLoop|EventLoop\.select|KQueue|EPoll\w*\.wait|"
    r"TimerThread|HashedWheelTimer"
)


@dataclass(frozen=True)
class JavaThread:
    """One thread of a dump.

    Attributes:
        name: Its name; of a task, the vertex and the subtask.
        number: Its number in its process.
        state: `RUNNABLE`, `BLOCKED`, `WAITING`, `TIMED_WAITING` and so on.
        waits_for: The lock that it is blocked or waits on; empty without one.
        owner: The number of the thread that has this lock; None where nobody is known to.
        holds: The locks that it holds.
        stack: Where it is, the innermost place first.
    """

    name: str
    number: int
    state: str
    waits_for: str = ""
    owner: int | None = None
    holds: tuple[str, ...] = ()
    stack: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it is, without what waits for it: the innermost place that is not Java's own."""
        own = (p for p in self.stack if not p.startswith(("java.", "jdk.", "sun.", "app//java.")))
        return next(own, next(iter(self.stack), ""))

    @property
    def at_rest(self) -> bool:
        """Whether it waits for work, as threads of pools do."""
        return not self.waits_for_another and any(_AT_REST.search(place) for place in self.stack[:12])

    @property
    def waits_for_another(self) -> bool:
        """Whether another thread has what it waits for."""
        return self.state == "BLOCKED" or self.owner is not None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**vars(self), "holds": list(self.holds), "stack": list(self.stack), "at_rest": self.at_rest}


@dataclass(frozen=True)
class Blocking:
    """A thread that has what others wait for.

    Attributes:
        thread: The thread.
        waiting: Those that wait for it, by others too; those that wait longest in the chain last.
        locks: What they wait for.
    """

    thread: JavaThread
    waiting: tuple[JavaThread, ...]
    locks: tuple[str, ...]


@dataclass(frozen=True)
class ThreadReport:
    """One process's threads.

    Attributes:
        process: Which process: the id of a task manager, or `job manager`.
        threads: All threads.
        deadlocks: Circles of threads, each of which waits for the next one.
        blockers: The threads that others wait for, and that wait for nobody themselves; those with most first.
        tasks: Names of the job's own threads among them.
    """

    process: str
    threads: tuple[JavaThread, ...]
    deadlocks: tuple[tuple[JavaThread, ...], ...]
    blockers: tuple[Blocking, ...]
    tasks: frozenset[str] = field(default_factory=frozenset)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Say what is blocked on what, worst first."""
        found = [self._of_deadlock(circle) for circle in self.deadlocks]
        found += [self._of_blocker(blocking) for blocking in self.blockers]
        states = Counter(thread.state for thread in self.threads)
        counts = ", ".join(f"{count} {state}" for state, count in states.most_common())
        if not found:
            told = f"No thread of {self.process} waits for another one ({counts})."
            found.append(Finding(self.process, Severity.OK, told, id="threads-free"))
        return (*found, *self._of_tasks())

    def _of_deadlock(self, circle: Sequence[JavaThread]) -> Finding:
        steps = [f"{shortened(t.name)} waits for {t.waits_for}" for t in circle]
        first = shortened(circle[0].name)
        reason = f"Deadlock in {self.process}: {', '.join(steps)}, which {first} has. None of them will ever go on."
        remedy = (
            "Restart the task manager (the job restarts from its last checkpoint), and mend the order in which the "
            f"code takes its locks: {'; '.join(t.place for t in circle)}."
        )
        return Finding(self.process, Severity.ERROR, reason, remedy, id="deadlock", figures={"threads": len(circle)})

    def _of_blocker(self, blocking: Blocking) -> Finding:
        thread, count = blocking.thread, len(blocking.waiting)
        names = ", ".join(shortened(one.name) for one in blocking.waiting[:3]) + (" ..." if count > 3 else "")
        holder = f"{shortened(thread.name)} ({thread.state}) at {thread.place or 'an unknown place'}"
        reason = (
            f"{counted(count, 'thread')} of {self.process} {'wait' if count > 1 else 'waits'} for {holder}: {names}. "
            f"The lock: {', '.join(blocking.locks)}."
        )
        own = any(one.name in self.tasks for one in (*blocking.waiting, thread))
        severity = Severity.WARNING if own else Severity.INFO
        return Finding(self.process, severity, reason, id="blocked", figures={"waiting": count})

    def _of_tasks(self) -> Iterable[Finding]:
        """Say where the job's own threads are, those at one place together."""
        places: defaultdict[tuple[str, str], list[JavaThread]] = defaultdict(list)
        for thread in self.threads:
            if thread.name in self.tasks:
                places[thread.state, "(waits for records or mail)" if thread.at_rest else thread.place].append(thread)
        for (state, place), threads in sorted(places.items(), key=lambda item: -len(item[1])):
            names = ", ".join(shortened(one.name) for one in threads[:3]) + (" ..." if len(threads) > 3 else "")
            told = f"{counted(len(threads), 'task')} {state} at {place}: {names}."
            yield Finding(self.process, Severity.INFO, told, id="tasks-at", figures={"tasks": len(threads)})

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "process": self.process,
            "deadlocks": [[thread.number for thread in circle] for circle in self.deadlocks],
            "blockers": [
                {
                    "thread": blocking.thread.number,
                    "waiting": [one.number for one in blocking.waiting],
                    "locks": list(blocking.locks),
                }
                for blocking in self.blockers
            ],
            "threads": [{**thread.to_dict(), "of_job": thread.name in self.tasks} for thread in self.threads],
        }


def parse_thread(text: str) -> JavaThread | None:
    """Return a thread as Java has written it; None where it is not understood."""
    head = _HEAD.match(text)
    if head is None:
        return None
    lines = text[head.end() :].splitlines()
    stack, holds, waits_for = [], [], head["lock"] or ""
    for line in lines:
        if match := _AT.match(line):
            stack.append(_MODULE.sub("", match["place"]))
        elif match := _WAITS.match(line):
            waits_for = waits_for or match["lock"]
        elif match := _HOLDS.match(line):
            holds.append(match["lock"])
    return JavaThread(
        name=head["name"],
        number=int(head["number"]),
        state=head["state"],
        waits_for=waits_for,
        owner=int(head["owner_number"]) if head["owner_number"] else None,
        holds=tuple(dict.fromkeys(holds)),
        stack=tuple(stack),
    )


def read_dump(process: str, texts: Iterable[str], *, vertices: Sequence[str] = ()) -> ThreadReport:
    """Return what a dump tells.

    Args:
        process: Which process it is of.
        texts: Its threads as Java has written them; those that are not understood are left out.
        vertices: Names of the job's vertices, by which its threads are known.
    """
    threads = [thread for text in texts if (thread := parse_thread(text)) is not None]
    owners = {lock: thread.number for thread in threads for lock in thread.holds}
    waits = {thread.number: owner for thread in threads if (owner := _owner(thread, owners)) is not None}
    by_number = {thread.number: thread for thread in threads}
    circles = _circles(waits)
    stuck = {number for circle in circles for number in circle}
    return ThreadReport(
        process=process,
        threads=tuple(threads),
        deadlocks=tuple(tuple(by_number[number] for number in circle) for circle in circles),
        blockers=_blockers(by_number, waits, stuck),
        tasks=frozenset(thread.name for thread in threads if _is_task(thread.name, vertices)),
    )


def _owner(thread: JavaThread, owners: dict[str, int]) -> int | None:
    """Return who has what a thread waits for: as Java says, else as the holder's own stack says.

    Who waits for a notice has given its lock away, though its stack says that it holds it.
    """
    if thread.owner is not None:
        return thread.owner
    if thread.state != "BLOCKED":
        return None
    owner = owners.get(thread.waits_for)
    return owner if owner != thread.number else None


def _circles(waits: dict[int, int]) -> list[tuple[int, ...]]:
    """Return the circles of a graph in which each node has one successor at most; each begins with its least node."""
    found: set[tuple[int, ...]] = set()
    done: set[int] = set()
    for start in waits:
        path: list[int] = []
        node: int | None = start
        while node is not None and node not in done and node not in path:
            path.append(node)
            node = waits.get(node)
        if node is not None and node in path:
            circle = path[path.index(node) :]
            least = circle.index(min(circle))
            found.add(tuple(circle[least:] + circle[:least]))
        done.update(path)
    return sorted(found)


def _blockers(by_number: dict[int, JavaThread], waits: dict[int, int], stuck: set[int]) -> tuple[Blocking, ...]:
    behind: defaultdict[int, list[JavaThread]] = defaultdict(list)
    for number in waits:
        if number in stuck:
            continue
        last, steps = number, 0
        while last in waits and last not in stuck and steps <= len(waits):
            last, steps = waits[last], steps + 1
        if last in by_number and number in by_number:
            behind[last].append(by_number[number])
    found = [
        Blocking(by_number[last], tuple(waiting), tuple(sorted({one.waits_for for one in waiting if one.waits_for})))
        for last, waiting in behind.items()
    ]
    return tuple(sorted(found, key=lambda one: (-len(one.waiting), one.thread.number)))


def _is_task(thread: str, vertices: Sequence[str]) -> bool:
    """Say whether a thread is a task of one of these vertices: `VERTEX (1/4)#0`, long names cut by Flink."""
    name, found, _ = thread.rpartition(" (")
    return bool(found) and any(name == vertex or (len(name) >= 40 and vertex.startswith(name)) for vertex in vertices)
