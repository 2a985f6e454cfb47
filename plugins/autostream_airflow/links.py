"""Links from tasks to pages outside of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class TableLink(BaseOperatorLink):
    """The page of the table that a task waits for; none where `console.url` is not configured."""

    name = "Table"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the page's address, that of the first table where there are several."""
        from autostream.config import load_settings

        url, tables = load_settings().console.url, getattr(operator, "tables", None)
        return f"{url.rstrip('/')}/tables/{quote(tables[0])}" if url and tables else ""
