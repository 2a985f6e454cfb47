"""Calls made by a few threads at once, whose end nobody has to wait for when the process ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from autostream.errors import AutostreamError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_parallel(
    call: Callable[[_Item], _Result], items: Sequence[_Item], *, threads: int, most_errors: int
) -> list[_Result | AutostreamError]:
    """Call for each item, by so many threads, and return what comes of each, in their order.

    What hangs hangs here, too, but not when the process ends: the threads are daemons.

    Args:
        call: What to do with an item.
        items: The items.
        threads: How many threads, the present one not counted.
        most_errors: After so many errors no more is begun: whom all these calls ask cannot answer.

    Returns:
        What was returned, or the error of autostream's own kind that was raised; of items that were not begun, an
        error that was raised before.

    Raises:
        Exception: Of another kind, raised by a call.
    """
    work = _Work(call, items, most_errors)
    helpers = [threading.Thread(target=work.run, daemon=True) for _ in range(min(threads, len(items)))]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join()
    return work.results()


class _Work(Generic[_Item, _Result]):
    def __init__(self, call: Callable[[_Item], _Result], items: Sequence[_Item], most_errors: int) -> None:
        self._call, self._items, self._most_errors = call, items, most_errors
        self._next = iter(range(len(items)))
        self._done: dict[int, _Result | AutostreamError] = {}
        self._errors: list[AutostreamError] = []
        self._fault: Exception | None = None

    def run(self) -> None:
        # An iterator over a range gives each number to one thread only.
        for index in self._next:
            if len(self._errors) >= self._most_errors or self._fault is not None:
                return
            try:
                self._done[index] = self._call(self._items[index])
            except AutostreamError as error:
                self._done[index] = error
                self._errors.append(error)
            except Exception as fault:
                self._fault = fault

    def results(self) -> list[_Result | AutostreamError]:
        if self._fault is not None:
            raise self._fault
        return [self._done[index] if index in self._done else self._errors[-1] for index in range(len(self._items))]
