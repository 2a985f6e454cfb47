"""What a real Flink 2.3 session cluster answered to five looks, and a cluster that answers so again.

Two jobs of three vertices share a task manager; both read 100 records a second. After the look `third` it was stopped,
after `without task manager` another one was started.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autostream.flink.rest import FlinkRest
from tests.support.clocks import FakeClock
from tests.support.flink_clusters import cluster_at

_FILE = Path(__file__).parents[1] / "fixtures" / "flink-rest" / "session-2.3" / "looks.json"


class RecordedCluster(FlinkRest):
    """Answers by a recorded look; `asked` are the requests that it was sent, with what they asked for."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(cluster_at("http://127.0.0.1:1", name="lab"))
        self.looks = {look["name"]: look for look in json.loads(_FILE.read_text())}
        self.asked: list[tuple[str, str]] = []
        self._clock = clock
        self._answers: dict[tuple[str, str], Any] = {}

    def show(self, name: str) -> None:
        """Answer as in the look of that name, at its time."""
        look = self.looks[name]
        self._answers |= {(path, get): answer for path, get, answer in look["answers"]}
        self._clock.ms = look["at_ms"] - 2000
        self.asked = []

    def answer(self, path: str, answer: Any) -> None:
        """Answer a page otherwise."""
        self._answers[path, ""] = answer

    def answer_nothing(self, path: str) -> None:
        """Answer questions for metrics by none, as Flink does where it does not know all of their names."""
        self._answers |= {(p, get): [] for p, get in self._answers if p == path and get}

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return what was answered; 404 is None."""
        wanted = (parameters or {}).get("get", "")
        self.asked.append((path, wanted))
        if (path, wanted) in self._answers:
            return self._answers[path, wanted]
        return self._some(path, wanted.split(","))

    def _some(self, path: str, names: list[str]) -> Any:
        """Return those of recorded metrics that are asked for."""
        recorded = [a for (p, get), a in self._answers.items() if p == path and get]
        known = {metric["id"]: metric for answer in recorded for metric in answer}
        return [known[name] for name in names if name in known] if known else None
