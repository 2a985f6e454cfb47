"""The section `console`: the web pages and REST of `autostream serve`."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import Section


class ConsoleSettings(Section):
    """The console: web pages and REST, served by `autostream serve`."""

    url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address at which people reach the console, such as https://autostream.example.org: links lead "
        "there; empty: there are no links.",
    )
