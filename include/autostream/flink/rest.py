"""A job manager's REST interface: requests, their time-outs, and errors that name the URL."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import requests

from autostream.backoff import Backoff
from autostream.errors import ConfigurationError, ServiceError
from autostream.masking import learn, mask, secrets_in

_TIMEOUT_SECONDS: Final = (5.0, 15.0)
_PAUSES: Final = Backoff(first_seconds=0.2, cap_seconds=0.2, jitter=(1.0, 2.0))


class FlinkRest:
    """Asks one job manager; may be used by several threads, each of which keeps a connection."""

    def __init__(self, url: str, *, tries: int = 2) -> None:
        """Take its address, such as ``http://jobmanager:8081``, and how often to ask what is safe to repeat.

        A user and a password in the address are sent with each request; ``url`` is without them.

        Raises:
            ConfigurationError: the address is none.
        """
        self.url, self._account = _address(url)
        self._tries = tries
        self._local = threading.local()

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """Return the JSON that a path is answered by; None where there is no such thing (404).

        Raises:
            ServiceError: the cluster cannot be reached, or answers an error.
        """
        for attempt in _PAUSES.attempts(retries=self._tries - 1):
            try:
                answer = self._session().get(self.url + path, params=parameters, timeout=_TIMEOUT_SECONDS)
                if answer.status_code == 404:
                    return None
                answer.raise_for_status()
                return answer.json()
            except requests.RequestException as error:  # a body that is no JSON is one of them
                if attempt == self._tries:
                    raise self._failed(path, error) from error
        raise AssertionError  # the last try returned or raised

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a request once, and return the JSON that it is answered by.

        Raises:
            ServiceError: the cluster cannot be reached, or refuses it.
        """
        try:
            answer = self._session().post(self.url + path, json=dict(body), timeout=_TIMEOUT_SECONDS)
            answer.raise_for_status()
            return answer.json()
        except requests.RequestException as error:
            raise self._failed(path, error) from error

    def not_understood(self, path: str, error: Exception) -> ServiceError:
        """Return the error for an answer of a shape that is not known."""
        return ServiceError(
            f"Flink's answer to {self.url}{path} is not understood ({error!r}). Is that a job manager's address, of "
            "Flink 1.20 or later?"
        )

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.auth = self._account
        session: requests.Session = self._local.session
        return session

    def _failed(self, path: str, error: Exception) -> ServiceError:
        url = self.url + path
        return ServiceError(f"Flink does not answer {url}: {error}. Check the address and that it is up.")


def _address(url: str) -> tuple[str, tuple[bytes, bytes] | None]:
    """Split an address into what may be shown, and the account in it."""
    learn(*secrets_in(url))
    try:
        parts = urlsplit(url.strip().rstrip("/"))
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:  # its message and its traceback would show a part of the password
        wrong = True
    if wrong or "@" in parts.path:
        raise ConfigurationError(
            f"{mask(url)!r} is not the address of a Flink cluster. Write http://HOST:PORT or "
            "http://USER:PASSWORD@HOST:PORT; in a password write %40 for @, %2F for /, %3A for : and %25 for %."
        )
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if parts.username is None:
        return shown, None
    return shown, (unquote(parts.username).encode(), unquote(parts.password or "").encode())
