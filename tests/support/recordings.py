"""What real services said, kept in tests/fixtures, so that clients are tested without them, in milliseconds.

A test of a recorded service runs against it once, with AUTOSTREAM_RECORD=1, and against what it said then ever after:

    AUTOSTREAM_RECORD=1 pytest -n 0 tests/hadoop/test_webhdfs_recorded.py tests/hadoop/test_metastore_recorded.py

What a client asks has to be what it asked then, in that order, and all of it: a client that asks differently is
recorded again, and the difference is in the commit. Faults (an answer that is lost, a connection that is cut, a gateway
that answers by itself) are the test's, and not recorded: the service did what it was asked to all the same.
"""

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDING = os.environ.get("AUTOSTREAM_RECORD") == "1"


class Recording:
    """Exchanges with a service, in their order: each is what was asked and what was answered."""

    def __init__(self, exchanges: list[Mapping[str, Any]]) -> None:
        """Begin with what there is: nothing where it is being recorded."""
        self._exchanges = exchanges
        self._place = 0
        self._lock = threading.Lock()
        self.complaint = ""

    def add(self, exchange: Mapping[str, Any]) -> None:
        """Keep an exchange."""
        with self._lock:
            self._exchanges.append(exchange)

    def answer(self, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the exchange that comes next, if that is what was asked; None, and a complaint, where it is not."""
        with self._lock:
            recorded = self._exchanges[self._place] if self._place < len(self._exchanges) else {}
            if asked.items() <= recorded.items():
                self._place += 1
                return recorded
            expected = {name: recorded.get(name) for name in asked}
            self.complaint = self.complaint or f"exchange {self._place}: asked {dict(asked)}, recorded {expected}"
            return None

    def finish(self) -> None:
        """Fail where something else was asked, or less."""
        assert not self.complaint, self.complaint
        left = self._exchanges[self._place :]
        assert not left, f"{len(left)} recorded exchanges were not asked for, the first: {left[0]}"


def name_of(request: pytest.FixtureRequest) -> str:
    """Return the name of a test's recording."""
    return re.sub(r"\W+", "-", request.node.name.removeprefix("test_")).strip("-")


@contextmanager
def recording(folder: str, name: str) -> Iterator[Recording]:
    """Give what was recorded under a name; what is recorded now is kept if the test succeeds."""
    file = FIXTURES / folder / f"{name}.json"
    if not RECORDING:
        played = Recording(json.loads(file.read_text()) if file.exists() else [])
        yield played
        played.finish()
        return
    made: list[Mapping[str, Any]] = []
    yield Recording(made)
    file.unlink(missing_ok=True)
    if made:  # else the test needs only servers that answer as it says
        file.write_text(json.dumps(made, indent=1) + "\n")
