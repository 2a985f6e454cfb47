"""The REST interface of a Flink cluster: requests by path, and answers as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from autostream.config.sections.flink import FlinkClusterSettings
from autostream.errors import ServiceError
from autostream.http import JsonClient, Limits, Tail

_Shape = TypeVar("_Shape")


class FlinkRest:
    """Asks the job managers of one cluster; threads may share it."""

    def __init__(self, cluster: FlinkClusterSettings, *, limits: Limits | None = None) -> None:
        """Take the cluster's addresses and login; nothing is connected yet.

        Raises:
            ConfigurationError: A file of certificates or the key cannot be read.
        """
        self.name = f"Flink cluster {cluster.name}"
        self._client = JsonClient(self.name, cluster, limits=limits)

    @property
    def url(self) -> str:
        """The address that answered last."""
        return self._client.url

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that a path is answered by; None where there is no such thing (404).

        Raises:
            ServiceError: The cluster cannot be reached, or answers an error.
            DeniedError: It does not accept the login.
        """
        return self._client.find(path, parameters)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a request, once unless it cannot have arrived, and return the JSON that it is answered by.

        Raises:
            ServiceError: The cluster cannot be reached, or refuses it.
            DeniedError: It does not accept the login.
        """
        return self._client.send("POST", path, body)

    def tail(self, path: str, *, keep_bytes: int, most_bytes: int) -> Tail | None:
        """Return the end of a file, such as a log; None where there is no such file (404).

        Args:
            path: Where it is.
            keep_bytes: How much of its end to return.
            most_bytes: The size of the largest file that is read through.

        Raises:
            ServiceError: The cluster cannot be reached or answers an error, or the file is larger.
            DeniedError: It does not accept the login.
        """
        return self._client.tail(path, keep_bytes=keep_bytes, most_bytes=most_bytes)

    def read(self, path: str, shape: type[_Shape], parameters: Mapping[str, str] | None = None) -> _Shape | None:
        """Return what a path is answered by as a typed value, such as those of `autostream.flink.models`.

        Returns:
            The value; None where there is no such thing (404).

        Raises:
            ServiceError: The cluster cannot be reached, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        answer = self.get(path, parameters)
        if answer is None:
            return None
        try:
            value: _Shape = _adapter(cast("Any", shape)).validate_python(answer)
        except ValidationError as error:
            raise self.not_understood(path, _first_of(error)) from None
        return value

    def require(self, path: str, shape: type[_Shape], parameters: Mapping[str, str] | None = None) -> _Shape:
        """Return a typed value as `read` does, of a path that every job manager has.

        Raises:
            ServiceError: The cluster cannot be reached, has no such page, or answers what is not understood.
            DeniedError: It does not accept the login.
        """
        answer = self.read(path, shape, parameters)
        if answer is None:
            raise self.not_understood(path, "no such page")
        return answer

    def not_understood(self, path: str, reason: str) -> ServiceError:
        """Return the error for an answer of a shape that is not known."""
        return ServiceError(
            f"Cannot understand the answer of {self.name} to {self.url}{path} ({reason}). Check that `url` of "
            f"{self.name} is the address of a job manager of Flink 1.18 or later."
        )


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _first_of(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place}: {problem['msg']}" if place else problem["msg"]
