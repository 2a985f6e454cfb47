"""Ctrl-C: that it was pressed, and what a command that ends by it leaves behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

EXIT_CODE: Final = 130
UNCHANGED: Final = "Nothing was changed."


class _Seen:
    """What this process knows of its interruption."""

    pressed = False
    left_behind = UNCHANGED


def leave_behind(text: str) -> None:
    """Say what an interruption leaves behind from now on; a command that changes nothing need not."""
    _Seen.left_behind = text


def left_behind() -> str:
    """Return what an interruption leaves behind."""
    return _Seen.left_behind


def interrupted() -> bool:
    """Say whether Ctrl-C was pressed: libraries turn that into errors of their own, which say other things."""
    return _Seen.pressed


@contextmanager
def watch_for_interrupts() -> Iterator[None]:
    """Remember Ctrl-C, which raises KeyboardInterrupt all the same."""
    _Seen.pressed, _Seen.left_behind = False, UNCHANGED
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # it is ignored, as by `nohup ... &`, or someone else's
        return
    signal.signal(signal.SIGINT, _remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Have SIGTERM and Ctrl-C set an event instead of ending the process: a service finishes what is under way."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _remember(number: int, frame: FrameType | None) -> None:
    _Seen.pressed = True
    signal.default_int_handler(number, frame)
