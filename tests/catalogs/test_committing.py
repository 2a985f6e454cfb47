"""What becomes of a swap, decided purely, and the protocol around it against a store that misbehaves at will."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.io.pyarrow import PyArrowFileIO

from autostream.catalogs.commit_answers import is_permanent, root_cause
from autostream.catalogs.committing import (
    CommitStep,
    CommitVerdict,
    NotAllowedError,
    NotAppliedError,
    NotSentError,
    RejectedError,
    Sending,
    nothing_changed,
)
from autostream.catalogs.locking import AllOf
from autostream.catalogs.pointers import PointerSwap, PointerView, judge_swap
from autostream.catalogs.retry_policy import RetryPolicy
from autostream.errors import (
    AutostreamError,
    ConfigurationError,
    DeniedError,
    LockLostError,
    LockTimeoutError,
    ResourceError,
    ServiceError,
)
from tests.support.clocks import FakeClock

BASE, NEW, OTHER = "f:/0.json", "f:/1.json", "f:/2.json"
POLICY = RetryPolicy(status_retries=3)


@pytest.fixture(autouse=True)
def _nobody_waits(clock: FakeClock) -> None:
    """Pauses take no time."""


@pytest.mark.parametrize(
    ("view", "refused", "compare", "verdict"),
    [
        (PointerView(NEW), False, False, CommitVerdict.COMMITTED),
        (PointerView(OTHER, frozenset({BASE, NEW})), False, False, CommitVerdict.COMMITTED),
        # The transport repeated the request: the second was refused because of the first.
        (PointerView(NEW), True, True, CommitVerdict.COMMITTED),
        (PointerView(BASE), True, False, CommitVerdict.FAILED),
        (PointerView(OTHER, frozenset({BASE})), False, True, CommitVerdict.FAILED),
        # It may still be under way.
        (PointerView(BASE), False, True, CommitVerdict.PENDING),
        (PointerView(BASE), False, False, CommitVerdict.PENDING),
        # It was applied, maybe, and so much committed since that the log has forgotten it.
        (PointerView(OTHER, frozenset({"f:/8.json", "f:/9.json"})), False, True, CommitVerdict.PENDING),
        # The table was dropped or renamed, after it maybe.
        (PointerView(None), False, True, CommitVerdict.PENDING),
        (PointerView(None), True, True, CommitVerdict.FAILED),
        # Without comparison even a table that has moved on may be overwritten by it.
        (PointerView(OTHER, frozenset({BASE})), False, False, CommitVerdict.PENDING),
    ],
)
def test_verdicts(view: PointerView, refused: bool, compare: bool, verdict: CommitVerdict) -> None:
    assert judge_swap(view, base=BASE, new=NEW, refused=refused, compare_and_swap=compare) is verdict


def test_a_snapshot_that_is_there_was_committed_whatever_the_log_has_forgotten() -> None:
    view = PointerView(OTHER, frozenset({"f:/9.json"}), frozenset({7, 8}))
    told = {"base": BASE, "new": NEW, "refused": True, "compare_and_swap": True}
    assert judge_swap(view, **told, adds={7}) is CommitVerdict.COMMITTED  # type: ignore[arg-type]
    assert judge_swap(view, **told, adds={6}) is CommitVerdict.FAILED  # type: ignore[arg-type]


def test_a_creation_that_another_one_was_faster_with_has_failed() -> None:
    assert (
        judge_swap(PointerView(OTHER), base=None, new=NEW, refused=False, compare_and_swap=True) is CommitVerdict.FAILED
    )
    assert (
        judge_swap(PointerView(None), base=None, new=NEW, refused=False, compare_and_swap=True) is CommitVerdict.PENDING
    )
    grown = PointerView(OTHER, frozenset({"f:/9.json"}))  # from whose creation its log does not say
    assert judge_swap(grown, base=None, new=NEW, refused=False, compare_and_swap=True) is CommitVerdict.PENDING


class Store:
    """A pointer whose answers follow a script; requests may be held up and land later."""

    def __init__(self, *script: str, compare_and_swap: bool = True) -> None:
        self.script: Iterator[str] = iter(script)
        self.compare_and_swap = compare_and_swap
        self.history = [BASE]
        self.held = 0
        self.sent = 0
        self.applied = 0
        self.down = 0

    def apply(self) -> None:
        if self.compare_and_swap and self.history[-1] != BASE:
            raise NotAppliedError("The table has been modified")
        self.history.append(NEW)
        self.applied += 1

    def swap(self) -> None:
        self.sent += 1
        answer = next(self.script, "ok")
        if answer == "no-connection":
            raise NotSentError("connection refused")
        if answer == "denied":
            raise NotAppliedError("alice may not write")
        if answer in ("request-lost", "held", "down"):
            self.held += answer == "held"
            self.down = 2 if answer == "down" else 0
            raise ConnectionError("reset")
        if answer == "overtaken":
            self.history.append(OTHER)
        self.apply()
        if answer == "answer-lost":
            raise ConnectionError("reset")
        if answer == "answer-wrong":
            raise NotAppliedError("The table has been modified")
        if answer == "answer-lost-and-built-upon":
            self.history.append(OTHER)
            raise ConnectionError("reset")

    def read(self) -> PointerView:
        if self.down:
            self.down -= 1
            raise ConnectionError("down")
        if self.held:  # what was held up lands between two looks
            self.held -= 1
            with suppress(NotAppliedError):
                self.apply()
        return PointerView(self.history[-1], frozenset(self.history[:-1]))


class Lock:
    """Held until the n-th verification."""

    def __init__(self, times: int = 1000) -> None:
        self.times = times

    def verify(self) -> None:
        self.times -= 1
        if self.times < 0:
            raise LockLostError("the session expired")


def swap_of(
    store: Store,
    lock: Lock | None = None,
    *,
    new: str = NEW,
    write: Callable[[], None] = lambda: None,
    io: Any = None,
    policy: RetryPolicy = POLICY,
    observe: Callable[[CommitStep], None] = lambda _: None,
) -> Sending:
    swap = PointerSwap(
        table="lake.db.t",
        base=BASE,
        new=new,
        pointer=store,
        write=write,
        io=io or PyArrowFileIO(),
        policy=policy,
        response=None,  # type: ignore[arg-type]
        observe=observe,
    )
    return Sending("lake.db.t", swap, lock or Lock(), observe)


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        (["ok"], 1),
        (["answer-lost"], 1),
        (["answer-wrong"], 1),
        (["answer-lost-and-built-upon"], 1),
        (["request-lost"], 2),
        (["down"], 2),
        (["held"], 1),
        (["request-lost", "answer-lost"], 2),
        (["request-lost", "request-lost", "held"], 3),
        (["request-lost", "answer-wrong"], 2),
    ],
)
def test_committed(script: list[str], sent: int) -> None:
    store = Store(*script)
    swap_of(store).run()
    assert (store.applied, store.sent) == (1, sent)


@pytest.mark.parametrize("script", [["denied"], ["overtaken"], ["no-connection"], ["request-lost", "overtaken"]])
def test_failed(script: list[str]) -> None:
    store = Store(*script)
    with pytest.raises(CommitFailedException, match=r"lake\.db\.t"):
        swap_of(store).run()
    assert store.applied == 0


def test_unknown_says_where_to_look(clock: FakeClock) -> None:
    store = Store(*["request-lost"] * 9)
    with pytest.raises(CommitStateUnknownException, match=f"metadata_location.*{NEW}"):
        swap_of(store).run()
    assert clock.slept == [1.0, 2.0, 4.0]


def test_without_comparison_nothing_is_sent_twice() -> None:
    store = Store("request-lost", compare_and_swap=False)
    with pytest.raises(CommitStateUnknownException):
        swap_of(store).run()
    assert store.sent == 1


def test_a_lost_lock_stops_the_first_sending() -> None:
    store = Store()
    with pytest.raises(CommitFailedException, match="session expired") as raised:
        swap_of(store, Lock(0)).run()
    assert store.sent == 0
    assert isinstance(root_cause(raised.value), LockLostError)


def test_a_lock_that_is_lost_later_stops_every_further_sending() -> None:
    store = Store(*["request-lost"] * 9)
    with pytest.raises(CommitStateUnknownException):
        swap_of(store, Lock(1)).run()
    assert store.sent == 1


def test_the_status_check_ends_after_its_total_time(clock: FakeClock) -> None:
    clock.then = {2: lambda: clock.advance(5000)}
    store = Store(*["request-lost"] * 9)
    swap = swap_of(store, policy=RetryPolicy(status_retries=100, status_total_timeout_ms=60_000))
    with pytest.raises(CommitStateUnknownException):
        swap.run()
    assert store.sent == 4


_ANSWERS = [
    "ok", "denied", "no-connection", "request-lost", "held", "down", "answer-lost", "answer-wrong", "overtaken",
    "answer-lost-and-built-upon",
]  # fmt: skip


@given(st.lists(st.sampled_from(_ANSWERS), max_size=6), st.integers(0, 6))
def test_whatever_happens_the_verdict_is_true(script: list[str], verifications: int) -> None:
    """Committed is in the history exactly once; failed is not, and never gets there by what is still under way."""
    store = Store(*script)
    try:
        swap_of(store, Lock(verifications)).run()
    except CommitFailedException:
        while store.held:
            store.read()
        assert NEW not in store.history
    except CommitStateUnknownException:
        assert store.history.count(NEW) <= 1
    else:
        while store.held:
            store.read()
        assert store.history.count(NEW) == 1


@pytest.mark.parametrize(("script", "kept"), [(["ok"], True), (["denied"], False), (["request-lost"] * 9, True)])
def test_only_a_proven_failure_deletes_the_metadata_file(script: list[str], kept: bool, tmp_path: Path) -> None:
    file = tmp_path / "1.json"
    with suppress(CommitFailedException, CommitStateUnknownException):
        swap_of(Store(*script), new=str(file), write=lambda: _write(file)).run()
    assert file.exists() is kept


def _write(file: Path) -> None:
    file.write_text("{}")


def test_a_file_that_cannot_be_written_is_removed_and_named(tmp_path: Path) -> None:
    file = tmp_path / "1.json"
    store = Store()

    def fill_the_disk() -> None:
        file.write_text("{")
        raise OSError("No space left on device")

    with pytest.raises(CommitFailedException, match=r"1.json of lake.db.t: No space left"):
        swap_of(store, new=str(file), write=fill_the_disk).run()
    assert (file.exists(), store.sent) == (False, 0)


def test_a_failure_to_delete_does_not_hide_why(tmp_path: Path) -> None:
    class Stubborn(PyArrowFileIO):
        def delete(self, location: object) -> None:
            raise PermissionError("read-only")

    file = tmp_path / "1.json"
    swap = swap_of(Store("denied"), new=str(file), write=lambda: _write(file), io=Stubborn())
    with pytest.raises(CommitFailedException, match="alice may not write"):
        swap.run()


def test_steps_are_told_in_order() -> None:
    steps: list[CommitStep] = []
    swap_of(Store(), observe=steps.append).run()
    assert steps == [CommitStep.METADATA_WRITTEN, CommitStep.LOCK_VERIFIED, CommitStep.SWAPPED]


def test_nothing_changed_keeps_the_cause() -> None:
    busy = pytest.raises(CommitFailedException, match=r"Nothing was changed in lake\.db\.t: busy")
    with busy as raised, nothing_changed("lake.db.t"):
        raise LockTimeoutError("busy")
    assert isinstance(root_cause(raised.value), LockTimeoutError)


def _overwritten(store: Store) -> None:
    store.history = [BASE, OTHER]


@pytest.mark.parametrize(
    ("after", "lost"),
    [(lambda store: None, False), (lambda store: store.history.append(OTHER), False), (_overwritten, True)],
)
def test_a_lost_update_is_found_afterwards(after: Callable[[Store], None], lost: bool) -> None:
    store = Store(compare_and_swap=False)
    swap = swap_of(store, observe=lambda step: after(store) if step is CommitStep.SWAPPED else None)
    if lost:
        with pytest.raises(CommitFailedException, match=f"A commit to lake.db.t was lost.*{OTHER}"):
            swap.run()
    else:
        swap.run()


def test_an_update_that_was_lost_keeps_its_metadata_file(tmp_path: Path) -> None:
    """A reader at this moment may have been sent there."""
    file, store = tmp_path / "1.json", Store(compare_and_swap=False)

    def overwritten(step: CommitStep) -> None:
        if step is CommitStep.SWAPPED:
            _overwritten(store)

    with pytest.raises(CommitFailedException, match="was lost"):
        swap_of(store, new=str(file), write=lambda: _write(file), observe=overwritten).run()
    assert file.exists()


def test_a_lock_that_was_lost_during_a_swap_without_comparison_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    swap_of(Store(compare_and_swap=False), Lock(1)).run()
    assert "may have overwritten a commit" in caplog.text


def test_all_of_no_lock_is_held() -> None:
    AllOf(()).verify()
    for first, second in product((0, 1), repeat=2):
        locks = AllOf((Lock(first), Lock(second)))
        if first and second:
            locks.verify()
        else:
            with pytest.raises(LockLostError):
                locks.verify()


@pytest.mark.parametrize(
    ("cause", "again"),
    [
        (None, True),  # another commit was faster
        (LockLostError("lost"), True),
        (ServiceError("away"), True),
        (RejectedError("columns differ"), False),
        (NotAllowedError("not you"), False),
        (ConfigurationError("no such lock"), False),
        (ResourceError("disk full"), False),
    ],
)
def test_what_is_worth_another_attempt(cause: AutostreamError | None, *, again: bool) -> None:
    assert is_permanent(cause) is not again


class Refusing(Store):
    """Refuses by an error of its own, before or after the change: a metastore's listener may do the latter."""

    def __init__(self, refusal: NotAppliedError, *, applied: bool) -> None:
        super().__init__()
        self.refusal, self.applies = refusal, applied

    def swap(self) -> None:
        self.sent += 1
        if self.applies:
            self.apply()
        raise self.refusal


@pytest.mark.parametrize("refusal", [RejectedError("columns differ"), NotAllowedError("not you")])
def test_a_refusal_for_good_is_the_cause_and_is_not_repeated(refusal: NotAppliedError) -> None:
    store = Refusing(refusal, applied=False)
    with pytest.raises(CommitFailedException, match=str(refusal)) as raised:
        swap_of(store).run()
    assert root_cause(raised.value) is refusal
    assert store.sent == 1


@pytest.mark.parametrize("refusal", [RejectedError("columns differ"), NotAllowedError("not you")])
def test_a_refusal_after_the_change_was_made_is_none(refusal: NotAppliedError) -> None:
    swap_of(Refusing(refusal, applied=True)).run()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("No space left"), ResourceError),
        (PermissionError("no"), DeniedError),
        (ServiceError("away"), ServiceError),
        (KeyError("a bug"), AutostreamError),
    ],
)
def test_why_a_metadata_file_is_not_there_says_whether_to_try_again(error: Exception, kind: type[Exception]) -> None:
    class NoFiles:
        def delete(self, _: str) -> None:
            raise FileNotFoundError

    def fail() -> None:
        raise error

    with pytest.raises(CommitFailedException) as raised:
        swap_of(Store(), write=fail, io=NoFiles()).run()
    assert type(root_cause(raised.value)) is kind
