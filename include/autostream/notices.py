"""What people are told of: one notice for each thing that happened, as a value. Pure.

A capability makes a notice of what it knows. `autostream.notify` decides who gets it, in which words, and sends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from autostream.errors import DefectError
from autostream.findings import Severity


class NoticeKind(StrEnum):
    """What happened. Each kind has a template in each language (`autostream.notify.templates`)."""

    COMPACTION_FAILED = "compaction-failed"
    LOCK_RELEASED = "lock-released"
    LOCK_NOT_RELEASED = "lock-not-released"
    WATERMARK_LATE = "watermark-late"
    WATERMARK_CAUGHT_UP = "watermark-caught-up"
    WAIT_TIMED_OUT = "wait-timed-out"
    HEALTH_LOW = "health-low"
    HEALTH_FALLING = "health-falling"
    HEALTH_FINDING = "health-finding"
    HEALTH_RECOVERED = "health-recovered"
    TEST = "test"


FIELDS: Final[Mapping[NoticeKind, frozenset[str]]] = {
    NoticeKind.COMPACTION_FAILED: frozenset({"run", "failed", "tables", "failures"}),
    NoticeKind.LOCK_RELEASED: frozenset({"table", "holder", "reason"}),
    NoticeKind.LOCK_NOT_RELEASED: frozenset({"table", "holder", "reason", "error"}),
    NoticeKind.WATERMARK_LATE: frozenset({"table", "watermark", "behind", "allowed", "reason"}),
    NoticeKind.WATERMARK_CAUGHT_UP: frozenset({"table", "watermark", "behind"}),
    NoticeKind.WAIT_TIMED_OUT: frozenset({"tables", "needed", "watermark", "waited", "waiter", "reason"}),
    NoticeKind.HEALTH_LOW: frozenset({"job", "score", "limit", "reasons", "fixes"}),
    NoticeKind.HEALTH_FALLING: frozenset({"job", "score", "before", "window", "reasons", "fixes"}),
    NoticeKind.HEALTH_FINDING: frozenset({"job", "finding", "reason", "fix"}),
    NoticeKind.HEALTH_RECOVERED: frozenset({"job", "score", "reason"}),
    NoticeKind.TEST: frozenset({"target", "by"}),
}
"""The fields that the template of each kind tells of: a notice has all of them, and no other."""

RECOVERIES: Final = frozenset({NoticeKind.WATERMARK_CAUGHT_UP, NoticeKind.HEALTH_RECOVERED})
"""Kinds that say that something is all right again. Their severity is that of what has ended, so that who was told of
the one is told of the other."""

Value = str | int | float | Mapping[str, str]
"""A field: a text or a number; or a text in each language, by language (`en`, `zh-CN`)."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing that happened, for those whom it concerns.

    Attributes:
        kind: What happened.
        severity: How bad it is; of a recovery, how bad that was which has ended.
        subject: What it is about, such as `table lake.db.orders` or `job prod/orders-enrich`.
        at_ms: When it happened.
        team: Whose it is; None where nobody said.
        owner: Who answers for it; None where nobody said.
        fields: What the template of its kind tells of, see `FIELDS`. A text may have several lines.
        link: Where to see more: the path of a page of the console, such as `/tables/lake.db.orders`; empty: nowhere.
        undo: The command that takes back what was done; empty where nothing can be taken back.
        dedupe_key: Notices of one key are sent to a target once in `notify.repeat_after_seconds`; the others are
            counted. Empty: kind and subject.
    """

    kind: NoticeKind
    severity: Severity
    subject: str
    at_ms: int
    team: str | None = None
    owner: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict)
    link: str = ""
    undo: str = ""
    dedupe_key: str = ""

    def __post_init__(self) -> None:
        """Refuse fields that the template does not have, and a notice that lacks one of those that it has."""
        if self.fields.keys() != FIELDS[self.kind]:
            raise DefectError(
                f"A notice of the kind {self.kind} has the fields {', '.join(sorted(FIELDS[self.kind]))}, not "
                f"{', '.join(sorted(self.fields)) or 'none'}."
            )

    @property
    def key(self) -> str:
        """By what repetitions are known."""
        return self.dedupe_key or f"{self.kind}: {self.subject}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "subject": self.subject,
            "at_ms": self.at_ms,
            "team": self.team,
            "owner": self.owner,
            "fields": {name: dict(v) if isinstance(v, Mapping) else v for name, v in self.fields.items()},
            "link": self.link,
            "undo": self.undo,
            "dedupe_key": self.dedupe_key,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Notice:
        """Return the notice that `to_dict` described."""
        kind, severity = NoticeKind(document["kind"]), Severity(document["severity"])
        return cls(**(dict(document) | {"kind": kind, "severity": severity}))


def page_of_table(table: str) -> str:
    """Return the path of a table's page in the console, for `Notice.link`."""
    return f"/tables/{quote(table)}"


def page_of_job(job: str) -> str:
    """Return the path of a job's page in the console, for `Notice.link`. Its name may hold any character."""
    return f"/job?name={quote(job, safe='')}"
