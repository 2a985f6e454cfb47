"""What tables say of the jobs that write to them: facts that Flink does not know, for their health."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from autostream.api.lakehouse import Lakehouse
from autostream.errors import AutostreamError
from autostream.flink.progress import JobSummary
from autostream.health.job_facts import JobFacts
from autostream.names import TableName
from autostream.telemetry.job_records import JobRecord
from autostream.watermark.recording.sink_targets import targets_of

_RETRIES = "commit.retry.num-retries"
_UPSERT = "write.upsert.enabled"

_logger = logging.getLogger(__name__)


class JobTables:
    """The tables that jobs write to, as their parameters and `watermark.writers` say; each is opened once.

    A table that cannot be read is not known, and neither is what it says. A catalog that failed is not asked again.
    """

    def __init__(self, lakehouse: Lakehouse) -> None:
        """Open nothing yet."""
        self._lakehouse = lakehouse
        self._properties: dict[str, Mapping[str, str] | None] = {}
        self._failed: set[str] = set()

    def facts_of(self, record: JobRecord) -> JobFacts:
        """Return what is known of a job's tables."""
        job = JobSummary(record.job_id, record.job.name, record.state)
        try:
            targets = targets_of(job, self._lakehouse.settings.watermark.writers, record.settings.parameters)
        except AutostreamError as error:
            _logger.warning("It is not known which tables job %s writes to: %s", record.job, error)
            return JobFacts()
        if not targets:
            return JobFacts()
        from autostream.lake.compaction.enabling import is_enabled  # loads PyIceberg

        known = {target.table: self._of(target.table) for target in targets}
        read = {table: properties for table, properties in known.items() if properties is not None}
        return JobFacts(
            without_retries=tuple(table for table, its in read.items() if its.get(_RETRIES) == "0"),
            not_compacted=tuple(
                table for table, its in read.items() if its.get(_UPSERT) == "true" and not is_enabled(its)
            ),
            needs_watermark=True,
        )

    def _of(self, table: str) -> Mapping[str, str] | None:
        if table not in self._properties:
            self._properties[table] = self._read(table)
        return self._properties[table]

    def _read(self, table: str) -> Mapping[str, str] | None:
        catalog = TableName.parse(table).catalog
        if catalog in self._failed:
            return None
        try:
            return dict(self._lakehouse.table(table).load().properties)
        except AutostreamError as error:
            if error.passes_by_itself:  # the catalog did not answer
                self._failed.add(catalog)
            _logger.warning("Table %s is not judged with the jobs that write to it: %s", table, error)
            return None
