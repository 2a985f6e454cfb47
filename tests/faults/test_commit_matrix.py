"""Every step of a commit, broken in every way, in every kind of catalog: nothing is lost, nothing is stuck.

After each fault the table can be read, holds what the outcome says, has all of its metadata, is not locked (or the
janitor releases the lock of a dead process), and takes the next commit.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hive_metastore.ttypes import EnvironmentContext
from pyiceberg.catalog.hive import HiveCatalog as Unprotected
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from sqlalchemy.exc import OperationalError

from autostream.catalogs.commit_answers import root_cause
from autostream.catalogs.committing import CommitStep
from autostream.catalogs.hive_lock import HiveLock
from autostream.catalogs.opening import open_catalog
from autostream.errors import LockLostError, LockTimeoutError
from tests.faults import commit_and_die
from tests.faults.worlds import HIVE, KINDS, LOCKED_BY_ZOOKEEPER, World, in_background, world
from tests.support.catalogs import append, ids
from tests.support.faultproxy import Fault, thrift_call

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("faults")]

ROOT = Path(__file__).parents[2]
BEFORE, AFTER = [1, 2], [1, 2, 3]
ALTER = "alter_table_with_environment_context"


@pytest.fixture
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with world(request.param, request, tmp_path) as made:
        yield made


# What each kind of store and of lock is tried with in every run; the other combinations are left to the exhaustive one.
ALWAYS = {"sql", "rest", "hive+hive", "hive+none", "hive+zookeeper", "older-hive+hive"}


def marked(kind: str, *others: object, always: set[str] | None = None) -> object:
    marks = () if kind in (always or ALWAYS) else pytest.mark.exhaustive
    return pytest.param(kind, *others, marks=marks)


def every(kinds: list[str], *, always: set[str] | None = None) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("broken", [marked(kind, always=always) for kind in kinds], indirect=True)


def commit(broken: World, *, id: int = 3) -> str:
    """Append a row behind the proxies; how it ended."""
    try:
        append(broken.broken().load_table(broken.table_name), id)
    except CommitFailedException:
        return "failed"
    except CommitStateUnknownException:
        return "unknown"
    except Exception as error:  # the table could not even be read again
        return f"{type(error).__name__}: {error}"
    return "committed"


# -------------------------------------------------------------------------------------- processes that die


# A fork of a process that has everything imported takes a hundredth of a new interpreter's time.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [f"autostream.catalogs.{name}" for name in ("hive", "rest", "sql")] + ["tests.faults.commit_and_die"]
)


def told(broken: World, step: CommitStep, how: str) -> str:
    return json.dumps(
        {"properties": broken.properties, "table": broken.table_name, "id": 3, "step": step.value, "signal": how}
    )


def start(broken: World, step: CommitStep, how: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.commit_and_die", told(broken, step, how)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# At a REST catalog the server writes the metadata.
KILLS = [
    marked(kind, step)
    for kind in KINDS
    for step in CommitStep
    if not (kind.startswith("rest") and step is CommitStep.METADATA_WRITTEN)
]


@pytest.mark.parametrize(("broken", "step"), KILLS, indirect=["broken"])
def test_killed(broken: World, step: CommitStep) -> None:
    process = FORKS.Process(target=commit_and_die.main, args=(told(broken, step, "SIGKILL"),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    broken.release_dead_locks()
    landed = step in (CommitStep.SWAPPED, CommitStep.UNLOCKED)
    broken.check(AFTER if landed else BEFORE, left_over=1)


@every(
    [kind for kind in LOCKED_BY_ZOOKEEPER if kind != "older-hive+zookeeper"] + ["sql", "rest", "hive+none"],
    always={"sql+zookeeper", "rest+zookeeper", "hive+zookeeper", "hive+none"},
)
def test_a_paused_holder_never_swaps_after_its_successor(broken: World) -> None:
    """It is stopped right before its swap, its lock verified, for longer than its session lasts."""
    process = start(broken, CommitStep.LOCK_VERIFIED, "SIGSTOP")
    os.waitpid(process.pid, os.WUNTRACED)
    locked = broken.locks()
    broken.release_dead_locks()  # the process lives, so this must not release anything
    assert broken.locks() == locked
    broken.release_hive_locks()
    append(broken.load(), 7)  # waits for the lock until the session of its holder expires
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate()
    # Its swap came to nothing, and it committed again upon what its successor had written.
    assert stdout.strip() == "committed", stdout + stderr
    broken.check([1, 2, 3, 7])


@every(["older-hive+zookeeper"], always={"older-hive+zookeeper"})
def test_without_comparison_a_paused_holder_looks_again(broken: World) -> None:
    process = start(broken, CommitStep.LOCK_VERIFIED, "SIGSTOP")
    os.waitpid(process.pid, os.WUNTRACED)
    append(broken.load(), 7)
    process.send_signal(signal.SIGCONT)
    stdout, stderr = process.communicate()
    assert stdout.strip() == "committed", stdout + stderr
    broken.check([1, 2, 3, 7])


# ------------------------------------------------------------------------------------ talk that is cut short

CALLS = ["get_table", "get_database", "lock", "check_lock", ALTER, "unlock", "show_locks"]
WAYS: dict[str, Callable[..., Fault]] = {
    "request-lost": lambda proxy, match: proxy.cut_request(match),
    "answer-lost": lambda proxy, match: proxy.cut_answer(match),
    "answer-wrong": lambda proxy, match: proxy.replace_answer(match),
}


@every(["hive+hive", "hive+both", "older-hive+hive"], always={"hive+hive"})
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("way", WAYS)
def test_one_call_to_the_metastore(broken: World, call: str, way: str) -> None:
    """Whatever is lost once, the commit ends as it says; with comparison it always gets there."""
    fault = WAYS[way](broken.store, thrift_call(call))
    outcome = commit(broken)
    if call == "show_locks":  # asked only when something else was lost
        assert (fault.hits, outcome) == (0, "committed")
    elif call in ("get_table", "get_database"):
        assert fault.hits == 1
    elif call == ALTER and not broken.compares and way == "request-lost":
        assert (fault.hits, outcome) == (1, "unknown")
    else:
        assert (fault.hits, outcome) == (1, "committed")
    broken.check(AFTER if outcome == "committed" else BEFORE, left_over=outcome == "unknown")


@every(["hive+zookeeper", "hive+none", "newer-hive+zookeeper"])
@pytest.mark.parametrize("way", WAYS)
def test_the_swap_by_comparison(broken: World, way: str) -> None:
    fault = WAYS[way](broken.store, thrift_call(ALTER))
    assert commit(broken) == "committed"
    assert fault.hits == 1
    broken.check(AFTER)


@every(["hive+hive", "older-hive+hive"])
@pytest.mark.parametrize("way", WAYS)
def test_the_question_whether_it_compares(broken: World, way: str) -> None:
    catalog = open_catalog("w", {**broken.through_proxies(), "autostream.hive.compare-and-swap": ""})
    fault = WAYS[way](broken.store, thrift_call(ALTER))
    append(catalog.load_table(broken.table_name), 3)
    assert fault.hits == 1
    broken.check(AFTER)


@every(["sql", "sql+zookeeper"], always={"sql"})
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("statement", [b"UPDATE iceberg_tables", b"COMMIT"])
def test_the_swap_in_a_database(broken: World, way: str, statement: bytes) -> None:
    fault = WAYS[way](broken.store, statement)
    assert commit(broken) == "committed"
    assert fault.hits == 1
    broken.check(AFTER)


@every(["rest", "rest+zookeeper"])
@pytest.mark.parametrize("way", WAYS)
def test_the_commit_at_a_rest_server(broken: World, way: str) -> None:
    fault = WAYS[way](broken.store, f"POST /v1/namespaces/{broken.namespace}/tables/t".encode())
    assert commit(broken) == "committed"
    assert fault.hits == 1
    broken.check(AFTER)


@every(HIVE)
@pytest.mark.parametrize("landed", [True, False], ids=["applied", "not-applied"])
def test_the_metastore_goes_down_at_the_swap(broken: World, landed: bool) -> None:
    """And stays down: nobody can tell, so everything is kept, until it is back."""
    match = thrift_call(ALTER)
    table = broken.broken().load_table(broken.table_name)

    def down() -> None:
        in_background(broken.store.down)

    if landed:
        broken.store.cut_answer(match, then=down)
    else:
        broken.store.cut_request(match, then=down)
    with pytest.raises(CommitStateUnknownException, match=r"All files were kept. Check .*metadata_location"):
        append(table, 3)
    broken.store.up()
    broken.release_hive_locks()  # this very process lives, so the janitor keeps them: they expire
    broken.check(AFTER if landed else BEFORE, left_over=1)


@every(["sql", "rest"])
@pytest.mark.parametrize("landed", [True, False], ids=["applied", "not-applied"])
def test_the_server_goes_down_at_the_swap(broken: World, landed: bool) -> None:
    """The same with a database and a REST server."""
    post = f"POST /v1/namespaces/{broken.namespace}/tables/t".encode()
    match = post if broken.name == "rest" else b"COMMIT" if landed else b"UPDATE iceberg_tables"
    table = broken.broken().load_table(broken.table_name)
    lose = broken.store.cut_answer if landed else broken.store.cut_request

    def down() -> None:
        broken.store.refuse()  # at once, or a new connection is faster than the end of the old ones
        in_background(broken.store.down)

    lose(match, then=down)
    if broken.name == "sql" and not landed:  # a database commits nothing that it was not told to
        with pytest.raises(OperationalError):  # of PyIceberg's next try
            append(table, 3)
    else:
        with pytest.raises(CommitStateUnknownException, match=r"It is not known .*All files were\s+kept\. Check"):
            append(table, 3)
    broken.store.up()
    broken.check(AFTER if landed else BEFORE, left_over=0 if broken.name == "sql" and not landed else 1)


@every(["hive+hive", "hive+both"])
def test_the_lock_of_a_request_that_was_held_up_is_found_and_released(broken: World) -> None:
    fault = broken.store.hold_answer(thrift_call("lock"))
    done: list[str] = []
    worker = in_background(lambda: done.append(commit(broken)))
    fault.wait()
    fault.release()
    worker.join()
    assert done == ["committed"]
    broken.check(AFTER)


@every(["hive+hive", "older-hive+hive"])
def test_a_table_that_others_hold_is_waited_for_and_given_up(broken: World) -> None:
    broken.properties["iceberg.hive.lock-timeout-ms"] = "300"
    table = broken.broken().load_table(broken.table_name)
    metastore = broken.direct.metastore  # type: ignore[attr-defined]
    with HiveLock(metastore, broken.namespace, "t", user="somebody"):
        with pytest.raises(CommitFailedException, match=r"was locked for 0.3 s: held by lock \d+ of somebody") as error:
            append(table, 3)
        assert isinstance(root_cause(error.value), LockTimeoutError)
    broken.check(BEFORE)


# ----------------------------------------------------------------------------------- ZooKeeper that goes away

STEPS_UNDER_LOCK = [CommitStep.LOCKED, CommitStep.METADATA_WRITTEN]


def observed(broken: World, step: CommitStep, then: Callable[[], None]) -> tuple[object, object]:
    """Return the catalog behind the proxies, and its table, which does something once at a step."""
    catalog = broken.broken()
    times = iter([then])

    def observe(reached: CommitStep) -> None:
        if reached is step and (action := next(times, None)):
            action()

    catalog.observe = observe  # type: ignore[attr-defined]
    return catalog, catalog.load_table(broken.table_name)


@every(LOCKED_BY_ZOOKEEPER)
@pytest.mark.parametrize("step", STEPS_UNDER_LOCK)
def test_the_connection_to_zookeeper_is_lost_and_comes_back(broken: World, step: CommitStep) -> None:
    """The session lives on, but nobody can tell meanwhile: the commit stops before its swap, and is made again."""
    if broken.name.startswith("rest") and step is CommitStep.METADATA_WRITTEN:
        step = CommitStep.LOCKED
    assert broken.zookeeper is not None

    def cut() -> None:
        broken.zookeeper.down()  # type: ignore[union-attr]
        broken.zookeeper.up()  # type: ignore[union-attr]

    _, table = observed(broken, step, cut)
    append(table, 3)  # type: ignore[arg-type]
    broken.check(AFTER)


@every(LOCKED_BY_ZOOKEEPER)
def test_zookeeper_is_down_at_the_verification(broken: World) -> None:
    assert broken.zookeeper is not None
    broken.properties |= {"zookeeper.connect-timeout-seconds": "1", "autostream.lock.timeout-ms": "1000"}
    _, table = observed(broken, CommitStep.LOCKED, broken.zookeeper.down)
    with pytest.raises(CommitFailedException) as error:
        append(table, 3)  # type: ignore[arg-type]
    assert root_cause(error.value) is not None
    broken.zookeeper.up()
    broken.check(BEFORE)


@every([kind for kind in LOCKED_BY_ZOOKEEPER if not kind.startswith("older")])
def test_a_lock_that_is_broken_after_its_verification(broken: World) -> None:
    """The successor commits between the verification and the swap: the store's comparison has the last word."""

    def break_and_commit() -> None:
        broken.break_zookeeper_lock()
        broken.release_hive_locks()
        append(broken.load(), 7)

    _, table = observed(broken, CommitStep.LOCK_VERIFIED, break_and_commit)
    append(table, 3)  # type: ignore[arg-type]
    broken.check([1, 2, 3, 7])


@every([kind for kind in LOCKED_BY_ZOOKEEPER if not kind.startswith("rest")])
def test_a_lock_that_is_broken_before_its_verification(broken: World) -> None:
    broken.load().transaction().set_properties({"commit.retry.num-retries": "0"}).commit_transaction()
    _, table = observed(broken, CommitStep.METADATA_WRITTEN, lambda: broken.break_zookeeper_lock(reason="it hangs"))
    with pytest.raises(CommitFailedException, match="it hangs") as error:
        append(table, 3)  # type: ignore[arg-type]
    assert isinstance(root_cause(error.value), LockLostError)
    broken.check(BEFORE)


# -------------------------------------------------------------------------- the gap without comparison, one call wide


@every(["older-hive+zookeeper", "older-hive+hive"])
def test_an_update_that_was_lost_is_reported(broken: World, caplog: pytest.LogCaptureFixture) -> None:
    """An alteration hangs, after the last look at the table, while its lock passes to another one who commits."""
    fault = broken.store.hold_request(thrift_call(ALTER))
    outcome: list[str] = []
    worker = in_background(lambda: outcome.append(commit(broken)))
    fault.wait()
    # Its locks expire, and another one commits.
    broken.release_hive_locks()
    if broken.zookeeper is not None:
        broken.break_zookeeper_lock()
    append(broken.load(), 7)
    fault.release()
    worker.join()
    # The one that was held up has overwritten the other's commit: the gap that only comparison closes. It says so.
    assert outcome == ["committed"]
    assert ids(broken.load()) == AFTER
    assert "this may have overwritten a commit of the lock's next holder" in caplog.text
    broken.check(AFTER, left_over=1)


@every(["older-hive+zookeeper", "older-hive+hive"])
def test_an_update_that_was_lost_is_made_again(broken: World, caplog: pytest.LogCaptureFixture) -> None:
    """The other side: what was overwritten right after its swap, by a writer that had not seen it, is repeated."""
    stale = broken.load()
    other = Unprotected("w", uri=broken.properties["uri"])

    def overwrite() -> None:
        """Put back what was there, as a writer does that looked before the swap and writes after it."""
        with other._client as client:
            table = client.get_table(broken.namespace, "t")
            table.parameters["metadata_location"] = copied
            client.alter_table_with_environment_context(broken.namespace, "t", table, EnvironmentContext(properties={}))

    append(other.load_table(broken.table_name), 7)  # what the overwriting one writes, made in advance
    copied = broken.load().metadata_location
    with other._client as client:
        table = client.get_table(broken.namespace, "t")
        table.parameters["metadata_location"] = stale.metadata_location
        client.alter_table_with_environment_context(broken.namespace, "t", table, EnvironmentContext(properties={}))
    fault = broken.store.watch(thrift_call("get_table"))
    _, table = observed(broken, CommitStep.SWAPPED, overwrite)
    append(table, 3)  # type: ignore[arg-type]
    assert fault.seen
    assert "was lost" in caplog.text
    broken.check([1, 2, 3, 7], left_over=1)


# ------------------------------------------------------------------------------------------------ a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    path = tmp_path / "small"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@every(["sql", "hive+hive", "hive+zookeeper", "older-hive+hive"])
def test_the_disk_is_full_when_the_metadata_is_written(broken: World, small_disk: Path) -> None:
    place = {"write.metadata.path": f"file://{small_disk}", "commit.retry.num-retries": "0"}
    broken.load().transaction().set_properties(place).commit_transaction()
    filler = small_disk / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass

    _, table = observed(broken, CommitStep.LOCKED, fill)
    with pytest.raises(CommitFailedException, match=r"Cannot write the metadata file .*No space left") as error:
        append(table, 3)  # type: ignore[arg-type]
    assert "Nothing was changed" in str(error.value)
    filler.unlink()
    assert len(list(small_disk.glob("*.metadata.json"))) == 1  # that of the properties alone
    broken.load().transaction().remove_properties("write.metadata.path").commit_transaction()
    assert ids(broken.load()) == BEFORE
    append(broken.load(), 4)
    assert ids(broken.load()) == [*BEFORE, 4]
    assert broken.locks() == []
