"""What is asked of Flink jobs, by REST and on pages alike."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from autostream.console.job_rows import ANY_STATE, SORTS, JobFilter
from autostream.errors import NotFoundError, UsageError
from autostream.names import JobName
from autostream.times import parse_instant, parse_length


def _wanted(
    q: Annotated[str, Query(description="Only jobs with this in their name, whatever its case.")] = "",
    team: Annotated[str, Query(description="Only jobs of this team.")] = "",
    without_team: Annotated[bool, Query(description="Only jobs without a team.")] = False,
    cluster: Annotated[str, Query(description="Only jobs of this cluster.")] = "",
    state: Annotated[
        str,
        Query(
            description=f"Only jobs in this state, such as `RUNNING`; `{ANY_STATE}`: in any. By default those that "
            "have not ended, and those that have failed."
        ),
    ] = "",
) -> JobFilter:
    return JobFilter(q, team, without_team, cluster, state)


JobsWanted = Annotated[JobFilter, Depends(_wanted)]
"""Which jobs are asked for: the type of a route's parameter."""
JobSort = Annotated[str, Query(description=f"One of {', '.join(SORTS)}; after a `-` the largest comes first.")]
Job = Annotated[str, Query(description="`CLUSTER/NAME`. A parameter, since names may hold slashes and dots.")]


def job_name(text: str) -> JobName:
    """Return the job that a name stands for.

    Raises:
        NotFoundError: No job can have such a name.
    """
    try:
        return JobName.parse(text)
    except UsageError as error:
        raise NotFoundError(str(error)) from error


def since_instant(text: str, *, now_ms: int) -> int:
    """Return an instant that is written as one, or as how long ago it was.

    Raises:
        UsageError: It is neither.
    """
    try:
        return now_ms - parse_length(text)
    except UsageError:
        return parse_instant(text)
