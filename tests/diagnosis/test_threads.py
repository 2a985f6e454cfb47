"""Thread dumps: read as Java wrote them, who waits for whom, and circles."""

from hypothesis import given
from hypothesis import strategies as st

from autostream.diagnosis.threads import parse_thread, read_dump
from autostream.findings import Severity
from tests.flink.serving import session_file


def dump(name: str) -> list[str]:
    return [thread["stringifiedThreadInfo"] for thread in session_file(name)["threadInfos"]]


def test_a_real_deadlock_of_monitors_and_one_of_locks() -> None:
    """Written by Flink's own code, in a JVM in which two pairs of threads had blocked each other."""
    report = read_dump("tm-1", dump("deadlock_thread_dump"), vertices=["orders", "sink"])
    circles = [{thread.name for thread in circle} for circle in report.deadlocks]
    assert circles == [{"orders (1/2)#0", "orders (2/2)#0"}, {"left", "right"}]
    first = report.findings[0]
    assert (first.id, first.severity) == ("deadlock", Severity.ERROR)
    assert first.reason == (
        "Deadlock in tm-1: 'orders (1/2)#0' waits for java.lang.Object@421e361, 'orders (2/2)#0' waits for "
        "java.lang.Object@6c61a903, which 'orders (1/2)#0' has. None of them will ever go on."
    )
    assert "Dead.lambda$main$0(Dead.java:6)" in first.remedy


def test_who_waits_for_a_thread_that_waits_for_nobody() -> None:
    report = read_dump("tm-1", dump("deadlock_thread_dump"), vertices=["sink"])
    held = {one.thread.name: sorted(waiting.name for waiting in one.waiting) for one in report.blockers}
    assert held == {'holder "of" all': ["sink (1/2)#0", "sink (2/2)#0"], "orders (1/2)#0": ["beyond"]}
    blocked = {finding.severity: finding.reason for finding in report.findings if finding.id == "blocked"}
    assert blocked[Severity.WARNING].startswith(
        "2 threads of tm-1 wait for 'holder \"of\" all' (TIMED_WAITING) at Dead.lambda$main$4(Dead.java:11): 'sink "
        "(1/2)#0'"
    )
    assert "'beyond'" in blocked[Severity.INFO]
    assert not [thread for thread in report.threads if thread.name == "waiter" and thread.waits_for_another]


def test_the_threads_of_a_real_task_manager() -> None:
    report = read_dump(
        "tm-1", dump("taskmanager0_thread_dump"), vertices=["Source: backlog", "work", "sum -> drop: Writer"]
    )
    assert report.deadlocks == report.blockers == ()
    assert {"Source: backlog (1/1)#0", "work (1/1)#0", "sum -> drop: Writer (1/1)#0"} <= report.tasks
    assert "OutputFlusher for work (1/1)#0" not in report.tasks
    assert report.findings[0].id == "threads-free"
    rest = next(thread for thread in report.threads if thread.name == "Source: backlog (1/1)#0")
    assert (rest.number, rest.state, rest.at_rest) == (69, "TIMED_WAITING", True)
    assert rest.place.startswith("org.apache.flink.streaming.runtime.tasks.mailbox.TaskMailboxImpl.take(")
    assert any("(waits for records or mail)" in finding.reason for finding in report.findings)


def blocked(number: int, owner: int) -> str:
    return f'"t{number}" Id={number} BLOCKED on a.B@{owner:x}0 owned by "t{owner}" Id={owner}\n\tat a.B.c(B.java:1)\n'


def test_a_lock_whose_owner_only_the_stack_tells() -> None:
    texts = [
        '"a" Id=1 BLOCKED on x.Y@1f\n\tat x.Y.go(Y.java:1)\n\t-  blocked on x.Y@1f\n',
        '"b" Id=2 RUNNABLE\n\tat x.Y.run(Y.java:2)\n\t-  locked x.Y@1f\n',
    ]
    (blocking,) = read_dump("tm", texts).blockers
    assert (blocking.thread.name, blocking.locks) == ("b", ("x.Y@1f",))


def test_a_thread_that_waits_for_a_notice_has_given_its_lock_away() -> None:
    text = '"a" Id=1 WAITING on x.Y@1f\n\tat java.lang.Object.wait\n\t-  waiting on x.Y@1f\n\t-  locked x.Y@1f\n'
    holder = '"b" Id=2 RUNNABLE\n\tat x.Y.run(Y.java:2)\n\t-  locked x.Y@1f\n'  # which will give the notice
    assert read_dump("tm", [text, holder]).findings[0].id == "threads-free"


@given(st.dictionaries(st.integers(0, 12), st.integers(0, 12)))
def test_circles_are_those_that_following_owners_comes_back_to(waits: dict[int, int]) -> None:
    report = read_dump("tm", [blocked(number, owner) for number, owner in waits.items()])

    def comes_back(number: int) -> bool:
        one = waits[number]
        for _ in range(len(waits)):
            if one == number:
                return True
            if one not in waits:
                return False
            one = waits[one]
        return False

    expected = {number for number in waits if comes_back(number)}
    assert {thread.number for circle in report.deadlocks for thread in circle} == expected
    assert sum(map(len, report.deadlocks)) == len(expected)
    assert report.findings


@given(st.text())
def test_anything_can_be_read(text: str) -> None:
    parse_thread(text)
    parse_thread(f'"a" Id=1 WAITING{text}')
    assert read_dump("tm", [text, text]).findings
