"""ZooKeeper, HDFS, Hive Metastore and a Kerberos realm as real services on 127.0.0.1, each in a directory of its own.

Context managers that start one by scripts/services/hadoop and stop it at the end, in seconds. Where one cannot be had,
the test is skipped with the reason, or fails where ``AUTOSTREAM_REQUIRE_SERVICES`` is 1. The fixtures of
tests/conftest.py share one of each kind among the tests of a worker and session; a test that ends, pauses or floods one
starts its own.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from tests.coordination.locking import until
from tests.support.services import SERVICES, need_programs, skip

NEWER_HIVE = "4.0.1"
OLDER_HIVE = "3.1.3"
OLDEST_HIVE = "2.3.9"

_SCRIPTS = SERVICES / "hadoop"
_OWNER = {"SERVICES_OWNER": str(os.getpid())}  # whose end ends them, however it comes
_TIMEOUT_SECONDS = 600  # the first start fetches jars


@dataclass(frozen=True)
class Instance:
    """A started service: its directory, and the script that started it."""

    directory: Path
    script: str

    def run(self, command: str, *args: str, environment: dict[str, str] | None = None) -> str:
        """Run a command of the script on this instance; return what it printed."""
        done = subprocess.run(
            [_SCRIPTS / self.script, command, self.directory, *args],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            env={**os.environ, **_OWNER, **(environment or {})},
        )
        if done.returncode:
            raise RuntimeError(
                f"{self.script} {command} {self.directory}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def signal(self, process: str, number: signal.Signals) -> None:
        """Send a signal, SIGSTOP and SIGCONT say, to the process that writes the log ``process``.log."""
        process_id = int((self.directory / f"{process}.pid").read_text())
        os.kill(process_id, number)
        if number is signal.SIGSTOP:  # its threads stop one after the other, and may answer until then
            tasks = Path(f"/proc/{process_id}/task")
            until(lambda: {_state(task) for task in tasks.iterdir()} == {"T"}, what=f"the stop of {process}")


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


@dataclass(frozen=True)
class ZooKeeper(Instance):
    """An ensemble. ``hosts`` is a kazoo connection string, ``tls_*`` are set where it was started with TLS."""

    hosts: str
    tls_hosts: str | None = None
    tls_ca: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None

    def kill(self, node: int = 1) -> None:
        """End a node (from 1) at once."""
        self.run("kill", str(node))

    def up(self, node: int = 1) -> None:
        """Start an ended node again, and wait until it serves."""
        self.run("up", str(node))

    def pause(self, node: int = 1) -> None:
        """Stop a node where it stands; its connections stay open."""
        self.signal(str(node), signal.SIGSTOP)

    def resume(self, node: int = 1) -> None:
        """Let a paused node go on."""
        self.signal(str(node), signal.SIGCONT)


@dataclass(frozen=True)
class Hdfs(Instance):
    """HDFS with WebHDFS. ``webhdfs_urls`` has one URL a NameNode, without a path; ``conf`` is for Java clients.

    ``svc`` may act for anybody, ``svcg`` for members of ``analysts``; alice is one, bob and mallory are not. ``hdfs``
    is the superuser; /data, /tmp and /warehouse let everybody in.
    """

    uri: str
    webhdfs_urls: tuple[str, ...]
    conf: Path
    tls_ca: str | None = None

    @property
    def webhdfs_url(self) -> str:
        """Where the only NameNode, or the first of two, answers."""
        return self.webhdfs_urls[0]

    @property
    def state(self) -> tuple[str, ...]:
        """``active``, ``standby`` or ``down`` for each NameNode."""
        return tuple(self.run("state").split())

    def activate(self, node: int) -> None:
        """Make a NameNode (1 or 2) the active one, and the other, where it runs, the standby."""
        self.run("active", str(node))

    def kill(self, node: int = 1) -> None:
        """End a NameNode."""
        self.run("kill", str(node))

    def up(self, node: int = 1) -> None:
        """Start an ended NameNode again (of two, as the standby), and wait until it has its DataNode."""
        self.run("up", str(node))


@dataclass(frozen=True)
class HiveMetastore(Instance):
    """A Hive Metastore. ``warehouse`` is a ``file://`` or ``hdfs://`` URI."""

    uri: str
    warehouse: str
    version: str

    @property
    def port(self) -> int:
        """Its Thrift port, on localhost."""
        return urlparse(self.uri).port or 0

    def kill(self) -> None:
        """End it at once; what it had committed stays."""
        self.run("kill")

    def up(self) -> None:
        """Start it again on the same port, and wait until it listens."""
        self.run("up")

    def pause(self) -> None:
        """Stop it where it stands; its connections stay open."""
        self.signal("hive", signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.signal("hive", signal.SIGCONT)


@dataclass(frozen=True)
class Kdc(Instance):
    """A Kerberos realm: users svc, svcg, alice, bob, mallory; services hdfs, hive, zookeeper, HTTP on localhost."""

    krb5_config: Path
    realm: str = "TEST.LOCAL"

    def keytab(self, name: str) -> Path:
        """Return the keytab of a user or service."""
        return self.directory / f"{name}.keytab"

    def ticket(
        self, user: str, cache: Path | None = None, *, life_seconds: int = 86400, renewable_seconds: int = 604800
    ) -> str:
        """Get a ticket by the user's keytab into ``cache`` or one of the realm's; return the value of KRB5CCNAME."""
        options = {"LIFE": f"{life_seconds}s", "RENEWABLE": f"{renewable_seconds}s"}
        args = [str(cache)] if cache else []
        return self.run("ticket", user, *args, environment=options).strip().removeprefix("KRB5CCNAME=")

    def environment(self, user: str | None = None) -> dict[str, str]:
        """Return the variables by which Kerberos finds this realm and, with a user, a fresh ticket of theirs."""
        found = {"KRB5_CONFIG": str(self.krb5_config)}
        return {**found, "KRB5CCNAME": self.ticket(user)} if user else found


@dataclass(frozen=True)
class KerberosLake:
    """ZooKeeper, HDFS and a metastore with its warehouse there, in one Kerberos realm. Address them as localhost."""

    kdc: Kdc
    zookeeper: ZooKeeper
    hdfs: Hdfs
    hive: HiveMetastore


@contextmanager
def kdc() -> Iterator[Kdc]:
    """Run a Kerberos realm."""
    with _started("Kerberos", "kdc.sh", {}) as (directory, printed):
        yield Kdc(directory, "kdc.sh", krb5_config=Path(printed["KRB5_CONFIG"]))


@contextmanager
def kerberos_lake() -> Iterator[KerberosLake]:
    """Run all of a lake under Kerberos."""
    with (
        kdc() as realm,
        zookeeper(sasl="kerberos", kdc=realm) as ensemble,
        hdfs(kdc=realm) as files,
        hive_metastore(hdfs=files, kdc=realm) as metastore,
    ):
        yield KerberosLake(realm, ensemble, files, metastore)


@contextmanager
def zookeeper(
    *,
    nodes: int = 1,
    sasl: str | None = None,
    kdc: Kdc | None = None,
    tls: str | None = None,
    tick_ms: int = 500,
    min_session_ms: int = 1000,
) -> Iterator[ZooKeeper]:
    """Run an ensemble.

    Args:
        nodes: 1 or 3.
        sasl: ``digest`` (users svc/svcpw and bob/bobpw) or ``kerberos``, then required of clients.
        kdc: The realm, for ``kerberos``.
        tls: What is asked of a client's certificate on ``tls_hosts``: ``need``, ``want`` or ``none``.
        tick_ms: ZooKeeper's unit of time; the longest session lasts 20 of it.
        min_session_ms: The shortest session time-out that is granted.
    """
    options = {
        "NODES": str(nodes),
        "SASL": sasl or "",
        "KDC": str(kdc.directory) if kdc else "",
        "TLS": tls or "",
        "TICK_MS": str(tick_ms),
        "MIN_SESSION_MS": str(min_session_ms),
    }
    with _started("ZooKeeper", "zookeeper.sh", options) as (directory, printed):
        yield ZooKeeper(
            directory,
            "zookeeper.sh",
            hosts=printed["HOSTS"],
            tls_hosts=printed.get("TLS_HOSTS"),
            tls_ca=printed.get("TLS_CA"),
            tls_certificate=printed.get("TLS_CERTIFICATE"),
            tls_key=printed.get("TLS_KEY"),
        )


@contextmanager
def hdfs(*, namenodes: int = 1, https: bool = False, kdc: Kdc | None = None) -> Iterator[Hdfs]:
    """Run HDFS in one JVM.

    Args:
        namenodes: 1, or 2 that share their edits and fail over by hand; the first is active at the start.
        https: WebHDFS over TLS and nothing else, verified by ``tls_ca``.
        kdc: The realm, for Kerberos; simple authentication otherwise.
    """
    options = {"NAMENODES": str(namenodes), "HTTPS": "1" if https else "", "KDC": str(kdc.directory) if kdc else ""}
    with _started("HDFS", "hdfs.sh", options) as (directory, printed):
        yield Hdfs(
            directory,
            "hdfs.sh",
            uri=printed["HDFS_URI"],
            webhdfs_urls=tuple(printed["WEBHDFS_URLS"].split(",")),
            conf=Path(printed["CONF"]),
            tls_ca=printed.get("TLS_CA"),
        )


@contextmanager
def hive_metastore(
    *,
    version: str = "4.0.0",
    postgres: bool = False,
    hdfs: Hdfs | None = None,
    kdc: Kdc | None = None,
    lock_timeout_seconds: int = 300,
    housekeeping: bool = True,
) -> Iterator[HiveMetastore]:
    """Run a Hive Metastore.

    Args:
        version: One of scripts/services/hadoop/poms/hive-VERSION.xml.
        postgres: On a PostgreSQL server of its own. Derby, otherwise, gets stuck with many writers, and later versions
            than 4.0.0 cannot compare and swap on it.
        hdfs: Where the warehouse is; on local disk otherwise.
        kdc: The realm, for Kerberos, of HDFS too.
        lock_timeout_seconds: After this time without a heartbeat housekeeping takes a lock away, within two seconds.
        housekeeping: Whether anything does.
    """
    options = {
        "HIVE": version,
        "POSTGRES": "1" if postgres else "",
        "HDFS": str(hdfs.directory) if hdfs else "",
        "KDC": str(kdc.directory) if kdc else "",
        "LOCK_TIMEOUT_SECONDS": str(lock_timeout_seconds),
        "HOUSEKEEPING": str(housekeeping).lower(),
    }
    with _started(f"Hive Metastore {version}", "hive.sh", options) as (directory, printed):
        yield HiveMetastore(
            directory, "hive.sh", uri=printed["HIVE_URI"], warehouse=printed["WAREHOUSE"], version=version
        )


@contextmanager
def _started(what: str, script: str, options: dict[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    need_programs(what, "bash", "java", "javac", "mvn", "curl", "openssl")
    directory = Path(tempfile.mkdtemp(prefix=f"autostream-{script.removesuffix('.sh')}-"))
    with ExitStack() as clean_up:
        clean_up.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            done = subprocess.run(
                [_SCRIPTS / script, "start", directory],
                env={**os.environ, **_OWNER, **options},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            skip(what, f"{script} did not finish within {_TIMEOUT_SECONDS} s")
        clean_up.callback(Instance(directory, script).run, "stop")
        if done.returncode:
            skip(what, done.stderr or done.stdout)
        yield directory, dict(line.split("=", 1) for line in done.stdout.splitlines())
