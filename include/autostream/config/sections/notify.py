"""The section `notify`: who is told what, in which language, and by which service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal
from urllib.parse import unquote

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from autostream.config.sections.base import NamedSection, NameList, Section, parse_list, split_list
from autostream.findings import Severity
from autostream.masking import learn, secrets_in
from autostream.notices import NoticeKind

Language = Literal["en", "zh-CN"]

_SERVICE: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://\S+", re.I)
_MAIL: Final = ("mailto", "mailtos")
# Tokens of services are parts of such URLs. Words and names of hosts are not hidden: messages would tell nothing.
_TOKEN: Final = re.compile(r"(?=.*\d|.*[a-z].*[A-Z]|.*[A-Z].*[a-z])[^.\s]{8,}")


class NotifyTarget(NamedSection):
    """One receiver of notices: a group in DingTalk, an email address, or whatever else Apprise can send to."""

    name: str = Field(
        examples=["trade-oncall"],
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=64,
        description="The name of the target: letters, digits, `.`, `_` and `-`.",
    )
    url: SecretStr = Field(
        examples=["dingtalk://SECRET@TOKEN/"],
        description="Where to send to: dingtalk://SECRET@TOKEN/ for a robot of DingTalk with signature, "
        "mailtos://USER:PASSWORD@HOST:PORT?from=ADDRESS&to=ADDRESS for email, or any other URL of Apprise.",
    )
    teams: NameList = Field(
        default=(), description="The teams whose notices it gets. Empty: those of all teams, and of nobody's jobs."
    )
    owners: NameList = Field(
        default=(), description="The owners whose notices it gets. Empty: those of all owners, and of none."
    )
    kinds: Annotated[tuple[NoticeKind, ...], BeforeValidator(split_list)] = Field(
        default=(), description=f"The kinds of notices it gets. Empty: all. There are: {', '.join(NoticeKind)}."
    )
    min_severity: Severity = Field(
        default=Severity.INFO,
        description="The least severity of the notices it gets: `info`, `warning` or `error`.",
    )
    language: Language = Field(default="en", description="The language of its messages: `en` or `zh-CN`.")
    format: Literal["markdown", "text"] = Field(
        default="markdown",
        description="How its messages are written: `markdown`, or `text` for a service that shows Markdown as it is.",
    )
    messages_per_minute: int = Field(
        default=20,
        ge=1,
        le=600,
        description="The most messages that are sent to it in a minute; the others wait. Robots of DingTalk take 20.",
    )

    @field_validator("url")
    @classmethod
    def _names_a_service(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if not _SERVICE.fullmatch(text):
            raise ValueError("is not a URL of a service, such as dingtalk://SECRET@TOKEN/")
        learn(*_secrets_of(text))
        return url

    @property
    def service(self) -> str:
        """The scheme of its URL, such as `dingtalk`: all of it that may be shown."""
        return self.url.get_secret_value().partition("://")[0].lower()


class NotifySettings(Section):
    """Notices: who is told of what happened. Nobody is told anything until a target is configured."""

    targets: Annotated[tuple[NotifyTarget, ...], BeforeValidator(parse_list)] = Field(
        default=(),
        description="The receivers: `[[notify.targets]]` once for each. In the environment: one variable a key, such "
        "as AUTOSTREAM_NOTIFY__TARGETS__ONCALL__URL for the target `oncall`, or all of them as a JSON list.",
    )
    repeat_after_seconds: int = Field(
        default=21600,
        ge=0,
        description="A notice of the same kind about the same thing is sent to a target again only after this time; "
        "until then repetitions are counted.",
    )
    give_up_after_seconds: int = Field(
        default=86400,
        ge=60,
        description="A message that could not be sent for this long is given up.",
    )
    dingtalk_url: str = Field(
        default="https://oapi.dingtalk.com",
        pattern=r"^https?://\S+$",
        description="Address of DingTalk, or of the gateway by which this machine reaches it.",
    )

    @field_validator("targets")
    @classmethod
    def _have_distinct_names(cls, targets: tuple[NotifyTarget, ...]) -> tuple[NotifyTarget, ...]:
        names = [target.name for target in targets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{names.count(name)} targets have the name {name}: give each a name of its own")
        return targets


def _secrets_of(url: str) -> Iterator[str]:
    """Yield what of a target's URL must not be shown: all of it, and its parts that may be tokens."""
    yield url
    yield from secrets_in(url)
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    if scheme.lower() in _MAIL or re.search(r":\d+$", place):  # there the host is one
        place = place.rpartition("@")[0]
    for part in re.split(r"[/@:?&=]", f"{place}{slash}{path}"):
        if _TOKEN.fullmatch(unquote(part)):
            yield unquote(part)
