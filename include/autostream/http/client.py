"""Requests to a service that speaks JSON over HTTP, and what their answers mean.

A client knows the addresses of one service. It has time-outs, asks again what may be repeated, at the next address
where there are several, logs in, verifies TLS, takes answers up to a size, and says in its errors what was asked where
and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests

from autostream import times
from autostream.backoff import Backoff
from autostream.config.sections.endpoint import Endpoint
from autostream.errors import AutostreamError, DeniedError, ServiceError
from autostream.http.session import login_headers, new_session, proxies_for
from autostream.http.wording import NOT_JSON, excerpt, never_connected, parsed, reason_of, said_by, tls_advice
from autostream.sizes import MIB, format_size

_BACKOFF: Final = Backoff(first_seconds=0.2, cap_seconds=5.0, jitter=(1.0, 2.0))
_CHUNK_BYTES: Final = 64 * 1024
_PASSES: Final = frozenset({408, 425, 429})
"""Statuses below 500 that say that the same request may fare better later."""


@dataclass(frozen=True)
class Limits:
    """How long a client waits, how often it asks, and how much it takes.

    Attributes:
        connect_seconds: For a connection, TLS included.
        read_seconds: For each part of an answer.
        tries: How often each address is asked what may be repeated.
        backoff: The pauses after each round of all addresses.
        most_bytes: The size of the largest answer that is taken.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    tries: int = 2
    backoff: Backoff = _BACKOFF
    most_bytes: int = 64 * MIB


class RefusalError(ServiceError):
    """The service understood a request and refuses it: it would refuse it again.

    Attributes:
        status: HTTP status of the answer.
    """

    passes_by_itself = False

    def __init__(self, message: str, *, status: int = 400) -> None:
        """Keep the message and the status."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Tail:
    """The end of a file that a service sent.

    Attributes:
        content: The end.
        size_bytes: Size of the whole file.
    """

    content: bytes
    size_bytes: int

    @property
    def whole(self) -> bool:
        """Whether that is all of it."""
        return len(self.content) == self.size_bytes


class _Failure(Exception):
    """A try that failed.

    Attributes:
        error: What to tell in the end.
        passes: Whether it may fare better later, or at another address.
        arrived: Whether the request may have been carried out.
    """

    def __init__(self, error: AutostreamError, *, passes: bool = False, arrived: bool = True) -> None:
        super().__init__(str(error))
        self.error, self.passes, self.arrived = error, passes, arrived


@dataclass(frozen=True)
class _Server:
    """One address of a service, and what each request to it has.

    Attributes:
        url: The address, without the account that may be written in it.
        headers: Those that log in.
        proxies: The proxies on the way.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    proxies: dict[str, str] = field(repr=False)


class JsonClient:
    """Asks one service; threads may share it.

    Args:
        service: What it is, as messages begin: `Flink cluster prod`.
        endpoint: Its addresses, login and TLS.
        limits: How long to wait, how often to ask.
    """

    def __init__(
        self,
        service: str,
        endpoint: Endpoint,
        *,
        limits: Limits | None = None,
    ) -> None:
        """Prepare; nothing is connected before the first request.

        Raises:
            ConfigurationError: A file of certificates or the key cannot be read.
        """
        self.service = service
        self._limits = limits or Limits()
        self._servers = [_Server(a.url, login_headers(endpoint, a), proxies_for(a.url)) for a in endpoint.addresses]
        self._active = 0
        self._session = new_session(service, endpoint)

    @property
    def url(self) -> str:
        """The address that is asked first: the one that answered last."""
        return self._servers[self._active].url

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that a path is answered by.

        Raises:
            ServiceError: The service cannot be reached, or answers something else; `RefusalError` where it refuses.
            DeniedError: It does not accept the login, or the account may not do this.
        """
        return self._request("GET", path, parameters=parameters, body=None, repeatable=True)

    def find(self, path: str, parameters: Mapping[str, str] | None = None) -> Any | None:
        """Return the JSON that a path is answered by, as `get` does; None where there is no such thing (404)."""
        try:
            return self.get(path, parameters)
        except RefusalError as error:
            if error.status != 404:
                raise
            return None

    def tail(self, path: str, *, keep_bytes: int, most_bytes: int) -> Tail | None:
        """Return the end of a file, which may be no JSON; None where there is no such file (404).

        The service sends all of it, of which the end is kept.

        Args:
            path: Where it is.
            keep_bytes: How much of its end to return.
            most_bytes: The size of the largest file that is read through.

        Raises:
            ServiceError: The service cannot be reached or answers an error, or the file is larger.
            DeniedError: It does not accept the login, or the account may not do this.
        """
        limits = (keep_bytes, most_bytes)
        try:
            found: Tail = self._request("GET", path, parameters=None, body=None, repeatable=True, tail=limits)
        except RefusalError as error:
            if error.status != 404:
                raise
            return None
        return found

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = False) -> Any:
        """Send a request, and return the JSON that it is answered by; None where the answer has no content.

        Args:
            method: `POST`, `PUT`, `PATCH` or `DELETE`.
            path: Where to.
            body: What is sent, as JSON.
            repeatable: Doing it twice is doing it once. Where it is not, it is sent again only where it cannot have
                arrived.

        Raises:
            ServiceError: The service cannot be reached, or answers something else; `RefusalError` where it refuses.
            DeniedError: It does not accept the login, or the account may not do this.
        """
        return self._request(method, path, parameters=None, body=body, repeatable=repeatable)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def _request(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        repeatable: bool,
        tail: tuple[int, int] | None = None,
    ) -> Any:
        failures = 0
        while True:
            index = self._active
            try:
                return self._try(method, self._servers[index], path, parameters, body, tail)
            except _Failure as failed:
                failures += 1
                may_repeat = failed.passes and (repeatable or not failed.arrived)
                if not may_repeat or failures >= self._limits.tries * len(self._servers):
                    raise failed.error from failed.__cause__
            if self._active == index:  # else another thread has moved on already
                self._active = (index + 1) % len(self._servers)
            rounds, rest = divmod(failures, len(self._servers))
            if not rest:
                times.sleep(self._limits.backoff.seconds(rounds))

    def _try(
        self,
        method: str,
        server: _Server,
        path: str,
        parameters: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        tail: tuple[int, int] | None,
    ) -> Any:
        url = server.url + path
        try:
            with self._session.request(
                method,
                url,
                params=parameters,
                json=None if body is None else dict(body),
                headers=dict(server.headers),
                timeout=(self._limits.connect_seconds, self._limits.read_seconds),
                proxies=server.proxies,
                allow_redirects=False,
                stream=True,
            ) as response:
                if tail is not None and response.status_code == 200:
                    return self._tail(response, f"{method} {url}", *tail)
                content = self._content(response, f"{method} {url}")
        except OSError as error:  # whatever the HTTP library raises is one
            raise self._unreachable(error, f"{method} {url}", urlsplit(server.url).netloc) from error
        return self._answer(response, content, f"{method} {url}")

    def _content(self, response: requests.Response, operation: str) -> bytes:
        content = bytearray()
        for chunk in response.iter_content(_CHUNK_BYTES):
            content += chunk
            if len(content) > self._limits.most_bytes:
                raise _Failure(
                    ServiceError(
                        f"The answer of {self.service} to {operation} is larger than "
                        f"{format_size(self._limits.most_bytes)} and was not read. Check that {self._named('url')} "
                        "is the address of the right server."
                    )
                )
        return bytes(content)

    def _tail(self, response: requests.Response, operation: str, keep_bytes: int, most_bytes: int) -> Tail:
        content, size_bytes = bytearray(), 0
        said = response.headers.get("Content-Length", "")
        announced = int(said) if said.isdecimal() and "Content-Encoding" not in response.headers else 0
        for chunk in response.iter_content(_CHUNK_BYTES) if announced <= most_bytes else ():
            size_bytes += len(chunk)
            content += chunk
            del content[:-keep_bytes]
            if size_bytes > most_bytes:
                break
        if max(size_bytes, announced) > most_bytes:
            raise _Failure(
                ServiceError(
                    f"The answer of {self.service} to {operation} is {format_size(max(size_bytes, announced))} or "
                    f"more, and only files up to {format_size(most_bytes)} are read through. Read it where it is."
                )
            )
        return Tail(bytes(content), size_bytes)

    def _answer(self, response: requests.Response, content: bytes, operation: str) -> Any:
        status = response.status_code
        document = parsed(content)
        if status in (401, 403):
            raise _Failure(self._denied(response, document, operation))
        if 300 <= status < 400:
            raise _Failure(self._redirected(response, operation))
        if status >= 400:
            words = f"{status} {response.reason or ''}".strip() + (f": {said}" if (said := said_by(document)) else "")
            if status < 500 and status not in _PASSES and isinstance(document, dict):
                raise _Failure(RefusalError(f"{self.service} refused {operation}: {words}.", status=status))
            if status == 404:  # of a server's own page too: there is no such thing
                raise _Failure(RefusalError(f"{self.service} does not know {operation}: {words}.", status=404))
            error = ServiceError(f"{self.service} answered {operation} with an error: {words}. {self._remedy()}")
            raise _Failure(error, passes=status >= 500 or status in _PASSES, arrived=status != 429)
        if not content and response.request.method != "GET":
            return None
        if document is NOT_JSON:
            raise _Failure(
                ServiceError(
                    f"The answer of {self.service} to {operation} is not JSON ({excerpt(content)}). Check that "
                    f"{self._named('url')} is its address, and check any gateway or proxy in between."
                ),
                passes=True,
            )
        return document

    def _denied(self, response: requests.Response, document: Any, operation: str) -> DeniedError:
        said = said_by(document)
        words = f"{response.status_code} {response.reason or ''}".strip() + (f": {said}" if said else "")
        if response.status_code == 403:
            remedy = "Grant the account the permission, or correct the login"
        else:
            asked = (response.headers.get("WWW-Authenticate") or "").split(" ")[0].rstrip(",")
            remedy = (f"It asks for a login with {asked}. " if asked else "") + "Correct the login"
        return DeniedError(
            f"{self.service} denied {operation}: {words}. {remedy}: `username` and `password`, `token`, or "
            f"`tls_certificate` of {self.service}."
        )

    def _redirected(self, response: requests.Response, operation: str) -> ServiceError:
        where = urlsplit(urljoin(response.url or "", response.headers.get("Location") or ""))
        shown = f"{where.scheme}://{where.netloc.rpartition('@')[2]}{where.path}"
        return ServiceError(
            f"{self.service} redirected {operation} to {shown}. autostream does not follow redirects. Set "
            f"{self._named('url')} to the address of the service itself. If a gateway redirects to a login page, "
            "configure another login."
        )

    def _unreachable(self, error: OSError, operation: str, host: str) -> _Failure:
        if advice := tls_advice(error, host=host, service=self.service):
            told = ServiceError(f"Cannot connect to {self.service} for {operation}: {advice}")
            return _Failure(told, passes=True, arrived=False)
        reason = reason_of(error)
        if isinstance(error, requests.exceptions.ProxyError):
            reason = f"the proxy of the environment does not reach it ({reason})"
        told = ServiceError(f"{self.service} did not answer {operation}: {reason}. {self._remedy()}")
        return _Failure(told, passes=True, arrived=not never_connected(error))

    def _named(self, key: str) -> str:
        return f"`{key}` of {self.service}"

    def _remedy(self) -> str:
        return f"Check {self._named('url')}, and that the service is up."
