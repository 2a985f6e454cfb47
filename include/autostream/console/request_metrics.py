"""How many requests the console answers, and how fast: counted by each process since it began."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from fastapi import Request
from fastapi.routing import APIRoute

if TYPE_CHECKING:
    from prometheus_client import Metric

REQUESTS: Final = "autostream_http_requests_total"
REQUEST_SECONDS: Final = "autostream_http_request_duration_seconds"

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class RequestMetrics:
    """Counts requests, as a collector of Prometheus' client. Safe for use by several threads."""

    def __init__(self) -> None:
        """Begin at 0."""
        # Imported here, for it begins to measure this process, which nobody asks for.
        from prometheus_client import CollectorRegistry, Counter, Histogram

        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            REQUESTS, "Requests that were answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            REQUEST_SECONDS, "How long answers took.", ["method", "route"], registry=self._registry
        )

    def observe(self, request: Request, *, status: int, seconds: float) -> None:
        """Count a request that was answered. Labels have few values, whatever is asked for."""
        route = request.scope.get("route")
        path = route.path if isinstance(route, APIRoute) else "other"
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(method, path, status).inc()
        self._seconds.labels(method, path).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """Return what was counted, without when counting began: that is when the process did."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
