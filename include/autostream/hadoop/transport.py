"""How requests get to WebHDFS servers and back: standby servers, lost answers, redirections, proof of identity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from autostream import times
from autostream.errors import AutostreamError, ConfigurationError, ServiceError
from autostream.hadoop.accounts import short_name
from autostream.hadoop.answers import (
    Call,
    Refusal,
    Trouble,
    error_of,
    first_line,
    parse_refusal,
    stale_token,
    trouble_of,
    unreachable_error,
)
from autostream.hadoop.negotiate import Negotiator
from autostream.hadoop.redirects import target_of
from autostream.hadoop.retries import PAUSES, decide
from autostream.hadoop.settings import WebHdfsSettings
from autostream.hadoop.upload import tls_context
from autostream.http.wording import never_connected, reason_of, speaks_tls

PREFIX: Final = "/webhdfs/v1"

_T = TypeVar("_T")


class AnswerLostError(ServiceError):
    """The request may have been carried out: nobody knows, and doing it twice is not doing it once."""


class FailedTry(Exception):
    """One try that got no answer; `node` is the DataNode that failed, empty where it was the NameNode.

    `error` is what to tell in the end, where that is more than that there was no answer.
    """

    def __init__(self, trouble: Trouble, reason: str, *, node: str = "", error: AutostreamError | None = None) -> None:
        super().__init__(reason)
        self.trouble, self.reason, self.node, self.error = trouble, reason, node, error


class Transport:
    """Requests to one HDFS, as one account. Threads may share it.

    Args:
        settings: where and as whom.
    """

    def __init__(
        self,
        settings: WebHdfsSettings,
    ) -> None:
        """Prepare; nothing is connected before the first request."""
        self.settings = settings
        self._negotiator = Negotiator(settings.kerberos) if settings.kerberos else None
        self._active = 0
        self._session = _session(settings)

    @property
    def account(self) -> str:
        """Who logs in: an account, or a Kerberos principal."""
        if self._negotiator is None:
            return self.settings.user
        return self._negotiator.principal or "the owner of the Kerberos ticket"

    @property
    def active_url(self) -> str:
        """The server that answered last, and is asked first."""
        return self.settings.urls[self._active]

    def pause(self, failures: int) -> None:
        """Wait before something is tried again."""
        times.sleep(PAUSES.seconds(failures))

    def json(
        self,
        method: str,
        operation: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        repeatable: bool = True,
        troubles: list[Trouble] | None = None,
    ) -> dict[str, Any]:
        """Ask the NameNode something; an answer without content is an empty document."""

        def ask(base: str, call: Call, _: list[str]) -> dict[str, Any]:
            response = self.ask(method, base, call, params or {})
            if redirects(response):
                raise _foreign(response, call)
            if not response.content:
                return {}
            try:
                document = response.json()
            except ValueError:
                document = None
            if not isinstance(document, dict):
                raise _foreign(response, call)
            return document

        return self.run(operation, path, ask, repeatable=repeatable, troubles=troubles)

    def run(
        self,
        operation: str,
        path: str,
        attempt: Callable[[str, Call, list[str]], _T],
        *,
        repeatable: bool = True,
        troubles: list[Trouble] | None = None,
    ) -> _T:
        """Try at one server after the other until one answers."""
        excluded: list[str] = []
        failures = 0
        while True:
            index = self._active
            base = self.settings.urls[index]
            call = Call(operation, path, base, self.account, self.settings.proxy_user)
            try:
                return attempt(base, call, excluded)
            except FailedTry as failed:
                failures += 1
                if troubles is not None:
                    troubles.append(failed.trouble)
                again = decide(
                    failed.trouble,
                    failures=failures,
                    servers=len(self.settings.urls),
                    retries=self.settings.retries,
                    repeatable=repeatable,
                )
                if again is None:
                    raise self._final(failed, call, repeatable=repeatable) from failed.__cause__
                if failed.node:
                    excluded.append(failed.node)
                elif self._active == index:  # else another thread has moved on already
                    self._active = (index + 1) % len(self.settings.urls)
                if again.pause_seconds:
                    times.sleep(again.pause_seconds)

    def _final(self, failed: FailedTry, call: Call, *, repeatable: bool) -> AutostreamError:
        reason = f"DataNode {failed.node}: {failed.reason}" if failed.node else failed.reason
        error = failed.error or unreachable_error(call, self.settings.urls, failed.trouble, reason)
        if failed.trouble is Trouble.LOST and not repeatable:
            return AnswerLostError(str(error))
        if failed.node and failed.trouble is Trouble.UNREACHABLE:
            return ServiceError(
                f"Cannot reach the DataNode {failed.node} that the NameNode named ({call}): {failed.reason}. This "
                "machine must be able to resolve its name and reach its HTTP port. Otherwise use HttpFS in "
                "webhdfs.urls."
            )
        return error

    def ask(
        self, method: str, base: str, call: Call, params: Mapping[str, str], *, stream: bool = False
    ) -> requests.Response:
        """One request to a NameNode or HttpFS: its answer, whatever it is but a refusal."""
        url = self._address(base, call, params)
        headers = self._negotiator.headers(base) if self._negotiator else {}
        response = self._exchange(method, url, headers, stream=stream)
        if self._negotiator:
            for renew in (False, True):
                if not _wants_proof(response):
                    break
                response.close()
                proof = self._negotiator.prove(base, renew=renew)
                # Now it is known who we are.
                response = self._exchange(method, self._address(base, call, params), proof, stream=stream)
            self._negotiator.remember(base, response)
            call = Call(call.operation, call.path, call.url, self.account, call.proxy)
        if response.status_code >= 400:
            raise _failure(response, call)
        return response

    def _address(self, base: str, call: Call, params: Mapping[str, str]) -> str:
        query = {"op": call.operation, **params}
        if self._negotiator is None:
            query["user.name"] = self.settings.user
        # Nobody needs leave to act as themselves for a NameNode, but for the DataNode that it redirects to.
        if self.settings.proxy_user and self.settings.proxy_user != short_name(self.account):
            query["doas"] = self.settings.proxy_user
        return f"{base}{PREFIX}{quote(call.path, safe='/')}?{urlencode(query, quote_via=quote)}"

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        stream: bool = False,
        data: bytes | None = None,
        node: str = "",
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                url,
                headers=dict(headers),
                data=data,
                stream=stream,
                allow_redirects=False,
                timeout=(self.settings.connect_timeout_seconds, self.settings.read_timeout_seconds),
                verify=_verify(self.settings),
            )
        except requests.exceptions.SSLError as error:
            if "EOF" in str(error):
                reason = "it closed the connection during the TLS handshake; check that this is a TLS port"
                raise FailedTry(Trouble.UNREACHABLE, reason, node=node) from error
            told = _tls_failed(urlsplit(url).netloc, reason_of(error))
            raise FailedTry(Trouble.FOREIGN, str(told), node=node, error=told) from error
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            if speaks_tls(error):
                told = ServiceError(f"{url.split('?')[0]} speaks TLS. Write https:// in webhdfs.urls.")
                raise FailedTry(Trouble.FOREIGN, str(told), node=node, error=told) from error
            trouble = Trouble.UNREACHABLE if never_connected(error) else Trouble.LOST
            raise FailedTry(trouble, reason_of(error), node=node) from error
        except requests.exceptions.Timeout as error:
            raise FailedTry(Trouble.LOST, reason_of(error), node=node) from error
        except OSError as error:
            raise ConfigurationError(f"Cannot ask {url.split('?')[0]}: {reason_of(error)}.") from error

    def creation_target(self, base: str, call: Call, excluded: list[str], *, overwrite: bool) -> str:
        """Where the bytes of a new file are to be sent to. Nothing is created yet."""
        params = {"overwrite": "true" if overwrite else "false", **excluding(excluded)}
        try:
            response = self.ask("PUT", base, call, params)
        except FailedTry as failed:
            # The answer to this one may be lost: it only names a DataNode.
            trouble = Trouble.UNREACHABLE if failed.trouble is Trouble.LOST else failed.trouble
            raise FailedTry(trouble, failed.reason, node=failed.node, error=failed.error) from failed.__cause__
        if not redirects(response):
            raise error_of(Refusal(response.status_code, "", "no redirect to a DataNode for the bytes"), call)
        return self.target(response, base, call)

    def target(self, response: requests.Response, base: str, call: Call) -> str:
        """Where a redirection leads to.

        Raises:
            ServiceError: to another scheme: whatever authorises there would go the wrong way.
        """
        response.close()
        return target_of(response.headers.get("Location") or "", asked=response.url or base, call=call)

    def headers_for(self, target: str, base: str) -> dict[str, str]:
        """Return what proves who we are where HttpFS redirects to itself; a DataNode finds a token in the URL."""
        same = urlsplit(target).netloc == urlsplit(base).netloc
        proof = self._negotiator.headers(base) if same and self._negotiator else {}
        return {**proof, "Content-Type": "application/octet-stream"}

    def fetch(self, target: str, base: str) -> requests.Response:
        """Return the bytes that a redirection leads to, as they come."""
        node = urlsplit(target).netloc
        headers = self.headers_for(target, base)
        return self._checked(self._exchange("GET", target, headers, stream=True, node=node), node)

    def send(self, target: str, base: str, data: bytes) -> None:
        """Send the bytes of a file to where a redirection leads to."""
        node = urlsplit(target).netloc
        headers = self.headers_for(target, base)
        self._checked(self._exchange("PUT", target, headers, data=data, node=node), node)

    def _checked(self, response: requests.Response, node: str) -> requests.Response:
        if response.status_code < 300:
            return response
        refusal = _refusal(response)
        if stale_token(refusal):
            raise FailedTry(Trouble.BUSY, refusal.message, node=node)
        operation, path = _operation_of(response)
        call = Call(operation, path, f"DataNode {node}", self.account, self.settings.proxy_user)
        if (trouble := trouble_of(refusal)) is not None:
            raise FailedTry(trouble, refusal.message, node=node)
        raise error_of(refusal, call)


class _Adapter(HTTPAdapter):
    """Trusts the system's certificates, or only those of a file."""

    def __init__(self, settings: WebHdfsSettings) -> None:
        self._context = tls_context(settings)
        super().__init__(pool_connections=16, pool_maxsize=32, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)


def _session(settings: WebHdfsSettings) -> requests.Session:
    session = requests.Session()
    # Neither ~/.netrc nor a proxy for the outer world: both are for other servers than those of the cluster.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if any(url.startswith("https:") for url in settings.urls):
        session.mount("https://", _Adapter(settings))
    session.mount("http://", HTTPAdapter(pool_connections=16, pool_maxsize=32, max_retries=0))
    return session


def _verify(settings: WebHdfsSettings) -> bool | str:
    return settings.tls_ca or True if settings.tls_verify else False


def _wants_proof(response: requests.Response) -> bool:
    """Also where the server could not make anything of a token: too old, too new, seen before."""
    return response.status_code == 401 or (response.status_code == 403 and b"GSSException" in response.content)


def redirects(response: requests.Response) -> bool:
    """Say whether an answer leads elsewhere."""
    return response.status_code in (301, 302, 303, 307, 308)


def _refusal(response: requests.Response) -> Refusal:
    with suppress(requests.exceptions.RequestException):
        return parse_refusal(response.status_code, response.content)
    return Refusal(response.status_code, "", "")


def _tls_failed(server: str, reason: str) -> ServiceError:
    if "WRONG_VERSION_NUMBER" in reason.upper().replace(" ", "_") or "RECORD_LAYER" in reason.upper():
        return ServiceError(f"{server} does not speak TLS ({reason}). Write http:// in webhdfs.urls, or its TLS port.")
    return ServiceError(
        f"TLS with {server} failed: {reason}. Set webhdfs.tls-ca to the file with the certificates that sign the "
        "cluster's certificates, or correct the host name in webhdfs.urls."
    )


def _other_login(response: requests.Response, call: Call) -> ServiceError | None:
    asks = response.headers.get("WWW-Authenticate") or ""
    if response.status_code != 401 or not asks or "negotiate" in asks.lower():
        return None
    return ServiceError(
        f"The server at {call.url} asks for a login with {asks.split()[0]} ({call}), and HDFS never does. Set "
        "webhdfs.urls to the NameNodes or an HttpFS, not to a gateway or another web server."
    )


def _foreign(response: requests.Response, call: Call) -> FailedTry:
    """Say what to do about an answer that does not come from WebHDFS: another server may give one."""
    said = first_line(response.text[:1000])
    if redirects(response):
        where = urlsplit(urljoin(response.url or "", response.headers.get("Location") or ""))
        said = f"it redirects to {where.scheme}://{where.netloc.rpartition('@')[2]}{where.path}"
    error = error_of(Refusal(response.status_code, "", said), call)
    return FailedTry(Trouble.FOREIGN, str(error), error=error)


def _failure(response: requests.Response, call: Call) -> Exception:
    refusal = _refusal(response)
    trouble = trouble_of(refusal)
    if trouble is None and refusal.exception:
        return error_of(refusal, call)
    if trouble is None:  # HDFS itself always names an exception
        error = _other_login(response, call) or error_of(refusal, call)
        return FailedTry(Trouble.LOST if refusal.status >= 500 else Trouble.FOREIGN, str(error), error=error)
    return FailedTry(trouble, refusal.message or f"HTTP {refusal.status}")


def _operation_of(response: requests.Response) -> tuple[str, str]:
    path = urlsplit(response.url or "").path.removeprefix(PREFIX)
    return ("OPEN" if (response.request.method or "") == "GET" else "CREATE"), path


def excluding(nodes: list[str]) -> dict[str, str]:
    """Return what asks a NameNode for another DataNode than these, if it has one."""
    return {"excludedatanodes": ",".join(nodes)} if nodes else {}
