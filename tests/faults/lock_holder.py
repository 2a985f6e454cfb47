"""A process that locks a table, to be killed and paused: run by test_zookeeper_lock, told what to do on stdin."""

import subprocess
import sys
from pathlib import Path

from autostream.config import ZooKeeperSettings
from autostream.coordination.client import shared_client
from autostream.coordination.paths import LockKey
from autostream.coordination.queued_lock import QueuedLock
from autostream.errors import AutostreamError


def main(hosts: str, root: str, session_timeout_seconds: str) -> None:
    """Answer each command with one line."""
    settings = ZooKeeperSettings(hosts=hosts, root=root, session_timeout_seconds=float(session_timeout_seconds))
    lock = QueuedLock(shared_client(settings), LockKey("lake", "db.orders"), what="commit", timeout_seconds=60)
    for command in sys.stdin:
        try:
            getattr(lock, command.strip())()
            answer = f"ok {lock.token}" if command.strip() != "release" else "ok"
        except AutostreamError as error:
            answer = f"{type(error).__name__} {error}"
        print(answer, flush=True)


class LockHolder:
    """That process, seen from its parent."""

    def __init__(self, hosts: str, root: str, *, session_timeout_seconds: float = 3) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.lock_holder", hosts, root, str(session_timeout_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def tell(self, command: str) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> str:
        """Give a command and return the answer."""
        self.tell(command)
        return self.answer()

    def answer(self) -> str:
        """The next answer."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.communicate()


if __name__ == "__main__":
    main(*sys.argv[1:])
