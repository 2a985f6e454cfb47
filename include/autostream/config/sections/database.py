"""The section `database`: the control-plane database."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import Section


class DatabaseSettings(Section):
    """The control-plane database: the history of watermarks and compactions, the console's tokens, the journal."""

    url: str = Field(
        default="",
        repr=False,
        description="SQLAlchemy URL, such as postgresql+psycopg2://autostream@localhost/autostream; empty: the SQLite "
        "file autostream/autostream.db in XDG_STATE_HOME or ~/.local/state. SQLite is brought up to date by itself, "
        "PostgreSQL by `autostream db upgrade`.",
    )
    history_days: int = Field(
        default=90,
        ge=3,
        le=3650,
        description="How long the history of watermarks and of compactions is kept; after two days, of each quarter "
        "of an hour that a watermark passed through the first record only.",
    )
