"""The section `console`: the web pages and REST of `autostream serve`."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import NameList, Section


class ConsoleSettings(Section):
    """The console: web pages and REST, served by `autostream serve`."""

    url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description=(
            "Address at which people reach the console, such as https://autostream.example.org. Airflow's links "
            "lead there. Empty: no links."
        ),
    )
    hosts: NameList = Field(
        default=(),
        description=(
            "Further host names of the console. It refuses requests for any host other than these, the host of `url` "
            "and this machine. In the environment: separated by commas."
        ),
    )
    requests_per_minute: int = Field(
        default=600,
        ge=1,
        description=(
            "The most requests per minute of a token, or of an address without a token. A quarter of them may come "
            "at once."
        ),
    )
