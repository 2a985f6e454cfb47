"""The routes of the console: a module a package, each with a `router` that is registered here by one line."""

from typing import Final

from fastapi import APIRouter

from autostream.console.routers import (
    audit,
    compactions,
    general,
    job_details,
    job_list,
    job_page,
    jobs,
    metrics,
    notices,
    table_list,
    table_parts,
    tables,
    teams,
    watermarks,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    audit.router,
    compactions.router,
    general.router,
    job_details.router,
    job_list.router,
    job_page.router,
    jobs.router,
    metrics.router,
    notices.router,
    table_list.router,
    table_parts.router,
    tables.router,
    teams.router,
    watermarks.router,
)
