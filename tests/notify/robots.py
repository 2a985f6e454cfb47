"""A stand-in for DingTalk's robots on loopback, which checks what DingTalk checks.

It has no line of the sender's in it: the signature is computed as DingTalk's documentation does it, from what arrived.
"""

import base64
import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from autostream.times import Clock
from tests.support.json_server import Answers, Reply, served

TOKEN = "b7f1f2c9d3e84a6f90b1"
SECRET = "SEC9f8e7d6c5b4a39281706"
HOUR_MS = 3_600_000


@dataclass
class Robots:
    """One robot, as its group sees it.

    Attributes:
        clock: Tells the robot's time.
        answers: What was asked, as it arrived.
        taken: The messages that the group shows.
        arrived: Set once there is one.
        refusals: What the next requests are answered by, whatever they are.
        per_minute: How many it takes in a minute.
        keyword: A word that each message must have.
    """

    clock: Clock
    answers: Answers = field(default_factory=Answers)
    taken: list[dict[str, Any]] = field(default_factory=list)
    refusals: deque[Any] = field(default_factory=deque)
    per_minute: int = 20
    keyword: str = "autostream"
    url: str = ""
    arrived: threading.Event = field(default_factory=threading.Event)
    _recent_ms: list[int] = field(default_factory=list)

    @property
    def target_url(self) -> str:
        return f"dingtalk://{SECRET}@{TOKEN}/"

    def answer(self, parameters: dict[str, str]) -> Any:
        if self.refusals:
            return self.refusals.popleft()
        now_ms, message = self.clock.now_ms(), self.answers.posted[-1][1]
        if parameters.get("access_token") != TOKEN:
            return {"errcode": 300001, "errmsg": "token is not exist"}
        if problem := self._problem_of_signature(parameters, now_ms):
            return {"errcode": 310000, "errmsg": f"{problem}, more: [https://ding-doc.example]"}
        self._recent_ms = [at for at in self._recent_ms if at > now_ms - 60_000]
        if len(self._recent_ms) >= self.per_minute:
            return {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
        kind = message.get("msgtype")
        text = {"markdown": lambda: message["markdown"]["text"], "text": lambda: message["text"]["content"]}
        if kind not in text or (kind == "markdown" and not message["markdown"]["title"]):
            return {"errcode": 400201, "errmsg": "param error"}
        if len(str(text[kind]()).encode()) > 20_000:
            return {"errcode": 460101, "errmsg": "message too long, exceed 20000 bytes"}
        if self.keyword not in text[kind]():
            return {"errcode": 310000, "errmsg": "keywords not in content"}
        self._recent_ms.append(now_ms)
        self.taken.append(message)
        self.arrived.set()
        return {"errcode": 0, "errmsg": "ok"}

    def _problem_of_signature(self, parameters: dict[str, str], now_ms: int) -> str:
        timestamp = parameters.get("timestamp", "")
        if not timestamp.isdigit() or abs(now_ms - int(timestamp)) > HOUR_MS:
            return "invalid timestamp"
        digest = hmac.new(SECRET.encode("utf-8"), f"{timestamp}\n{SECRET}".encode(), hashlib.sha256).digest()
        return "" if parameters.get("sign") == base64.b64encode(digest).decode() else "sign not match"

    @property
    def texts(self) -> list[str]:
        return [message["markdown"]["text"] for message in self.taken]


@contextmanager
def robots(clock: Clock) -> Iterator[Robots]:
    """Serve a robot."""
    standing = Robots(clock)
    standing.answers.paths["/robot/send"] = standing.answer
    with served(standing.answers) as url:
        standing.url = url
        yield standing


__all__ = ["SECRET", "TOKEN", "Reply", "Robots", "robots"]
