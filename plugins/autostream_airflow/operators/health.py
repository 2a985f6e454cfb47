"""How Flink jobs are, judged and written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from autostream_airflow.operators.base import aligned, read_settings

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from autostream.health.health_report import HealthReport

_MOST_SHOWN = 50


class RecordHealthOperator(BaseOperator):
    """Judges all Flink jobs by their samples, writes down how they are, and tells people what has become bad or well.

    It returns the scores of the teams and of the platform, and how many jobs were judged.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Judges.

        Raises:
            AirflowFailException: The configuration is wrong.
            AirflowException: The database cannot be reached; trying again may help.
        """
        import autostream
        from autostream.errors import AutostreamError, ConfigurationError

        settings = read_settings()
        try:
            report = autostream.health(record=True, settings=settings)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        except AutostreamError as error:
            raise AirflowException(str(error)) from error
        self._log(report)
        document = report.to_dict()
        counts = {"jobs": len(report.jobs), "notices": len(report.notices)}
        return counts | {name: document[name] for name in ("teams", "platform", "at")}

    def _log(self, report: HealthReport) -> None:
        if not report.jobs:
            self.log.info("There are no jobs to judge. Run `autostream flink watch`, which takes their samples.")
            return
        worst = [job for job in report.jobs if job.findings][:_MOST_SHOWN]
        cells = [
            (str(job.record.job), "?" if job.score is None else str(job.score), ", ".join(f.id for f in job.findings))
            for job in worst
        ]
        for line in aligned([("job", "score", "findings"), *cells]):
            self.log.info("%s", line)
        if unknown := report.platform.unknown:
            silent = "%d of %d jobs have no recent samples. Does `autostream flink watch` run?"
            self.log.warning(silent, unknown, len(report.jobs))
