"""Work on tables in a child process, so that a table that hangs, crashes or eats memory takes nothing else down."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from autostream import times
from autostream.actions import Action, ActionFailed, Answer
from autostream.errors import AutostreamError, ResourceError
from autostream.outcomes import outcome_of_error
from autostream_airflow.hooks.fields import ticket_cache

_END = object()


class TableWorker:
    """A child process for one request after the other; started at the first, and again after it was lost.

    Not safe for use by several threads. Use it as a context manager, or call `close`.

    Args:
        log: Gets each line that the child logs; called in the thread that calls `ask`.

    Attributes:
        process: The child; None before the first request and after it was lost.
    """

    def __init__(self, *, log: Callable[[str], None]) -> None:
        self._log = log
        self.process: subprocess.Popen[str] | None = None
        self._output: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> TableWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, request: Action[Answer], *, timeout_seconds: float) -> Answer:
        """Return what the child answers.

        Raises:
            ActionFailed: The work failed, its time passed, or the child died; the next request is served by a new child
                where need be.
        """
        process = self.process if self.process and self.process.poll() is None else self._start()
        deadline = times.monotonic() + timeout_seconds
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request.to_document()) + "\n")
            process.stdin.flush()
        except BrokenPipeError:  # it died between the check and the request
            raise self._lost(request) from None
        while True:
            try:
                kind, line = self._output.get(timeout=max(0.0, deadline - times.monotonic()))
            except queue.Empty:
                self.close()
                raise _failed(request, request.too_slow(timeout_seconds)) from None
            if kind == "log":
                self._log(line)
            elif line is _END:
                raise self._lost(request)
            else:
                answer = json.loads(line)
                if "row" in answer:
                    raise ActionFailed.of(answer["row"])
                value: Answer = answer["value"]
                return value

    def close(self) -> None:
        """End the child now, whatever it does; a killed compaction leaves its table as it was."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[str]:
        self._output = queue.SimpleQueue()  # what an earlier child said too late is not listened to
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autostream_airflow.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            errors="replace",
            env=_environment(),
        )
        streams = (("answer", self.process.stdout), ("log", self.process.stderr))
        self._readers = [
            threading.Thread(target=_forward, args=(*stream, self._output), daemon=True) for stream in streams
        ]
        for reader in self._readers:
            reader.start()
        return self.process

    def _lost(self, request: Action[Any]) -> ActionFailed:
        """Return the error for a child that ended without an answer."""
        process = self.process
        assert process is not None
        code = process.wait()
        for reader in self._readers:
            reader.join()
        self.close()
        while not self._output.empty():  # its last words
            kind, line = self._output.get()
            if kind == "log":
                self._log(line)
        if code == -signal.SIGKILL:
            message = (
                "was killed (SIGKILL), most often because memory ran out. Lower `engine.memory_limit`, or give the "
                "worker more memory."
            )
        elif code < 0:
            message = (
                f"was stopped by signal {-code} ({signal.Signals(-code).name}). Its last lines are in the log of the "
                "task."
            )
        else:
            message = f"ended with exit code {code}. Its last lines are in the log of the task."
        return _failed(request, ResourceError(f"The process that worked on {request.description} {message}"))


def _forward(kind: str, stream: Iterable[str], output: queue.SimpleQueue[tuple[str, Any]]) -> None:
    for line in stream:
        output.put((kind, line.rstrip("\n")))
    if kind == "answer":
        output.put((kind, _END))


def _failed(request: Action[Any], error: AutostreamError) -> ActionFailed:
    return ActionFailed.of(outcome_of_error(request.subject, error))


def _environment() -> dict[str, str]:
    """Return the child's environment: the task's, which names the Airflow run, with packages and ticket.

    A lock that the child takes says which run it belongs to (AIRFLOW_CTX_...).
    """
    cache = ticket_cache()
    ticket = {"KRB5CCNAME": cache} if cache else {}  # for libraries that are told of no other
    return os.environ | {"PYTHONPATH": _python_path()} | ticket


def _python_path() -> str:
    """Where the child finds these very packages, also when they are not installed but on the parent's path."""
    import autostream

    here = Path(__file__).resolve().parents[1]
    library = Path(autostream.__path__[0]).resolve().parent
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(dict.fromkeys(filter(None, (str(here), str(library), inherited))))
