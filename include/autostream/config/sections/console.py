"""The section `console`: the web pages and REST of `autostream serve`."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import NameList, Section


class ConsoleSettings(Section):
    """The console: web pages and REST, served by `autostream serve`."""

    url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address at which people reach the console, such as https://autostream.example.org: links lead "
        "there; empty: there are no links.",
    )
    hosts: NameList = Field(
        default=(),
        description="Other host names that people reach the console by; requests for any other than these, that of "
        "`url` and this machine's are refused. In the environment: separated by commas.",
    )
    requests_per_minute: int = Field(
        default=600,
        ge=1,
        description="The most requests of a token, or of an address without one, that are answered in a minute; a "
        "quarter of them may come at once.",
    )
