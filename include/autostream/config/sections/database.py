"""The section `database`: the control-plane database."""

from __future__ import annotations

from pydantic import Field

from autostream.config.sections.base import Section


class DatabaseSettings(Section):
    """The control-plane database: the history of watermarks and compactions, the console's tokens, the journal."""

    url: str = Field(
        default="",
        repr=False,
        description=(
            "SQLAlchemy URL, such as postgresql+psycopg2://autostream@localhost/autostream. Empty: the SQLite file "
            "autostream/autostream.db in XDG_STATE_HOME or ~/.local/state. The schema of SQLite is upgraded "
            "automatically. For PostgreSQL run `autostream db upgrade`."
        ),
    )
    history_days: int = Field(
        default=90,
        ge=3,
        le=3650,
        description=(
            "How long the history of watermarks and compactions is kept. After two days, only the first record of a "
            "watermark in each quarter of an hour is kept."
        ),
    )
