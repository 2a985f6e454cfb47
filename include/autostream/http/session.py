"""Connections to a service: TLS, the login of each request, and the proxies on the way."""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from autostream.config.sections.endpoint import Address, Endpoint
from autostream.errors import ConfigurationError
from autostream.masking import learn, secrets_in


def new_session(service: str, endpoint: Endpoint) -> requests.Session:
    """Return connections to a service, which threads may share.

    Raises:
        ConfigurationError: A file of certificates or the key cannot be read.
    """
    session = requests.Session()
    # No ~/.netrc: it holds accounts of other servers. Proxies are chosen by address, see `proxies_for`.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if any(address.url.startswith("https:") for address in endpoint.addresses):
        session.mount("https://", _TlsAdapter(_tls_context(service, endpoint)))
    session.mount("http://", HTTPAdapter(pool_maxsize=32, max_retries=0))
    return session


class _TlsAdapter(HTTPAdapter):
    """Trusts what a context trusts, and nothing besides."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=32, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._context, **kwargs)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Leave the context alone: the library would add the certificates that it comes with."""


def _tls_context(service: str, endpoint: Endpoint) -> ssl.SSLContext:
    ca = endpoint.tls_ca or os.environ.get("REQUESTS_CA_BUNDLE") or None
    try:
        context = ssl.create_default_context(cafile=ca if ca and not os.path.isdir(ca) else None)
        if ca and os.path.isdir(ca):
            context.load_verify_locations(capath=ca)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"Cannot use `tls_ca` of {service}: {ca} is not a file of PEM certificates: {error.strerror or error}."
        ) from error
    if endpoint.tls_certificate:
        _load_certificate(context, service, endpoint)
    return context


def _load_certificate(context: ssl.SSLContext, service: str, endpoint: Endpoint) -> None:
    try:
        context.load_cert_chain(
            endpoint.tls_certificate,
            endpoint.tls_key or None,
            # Text, not None, even where it is empty: OpenSSL would ask for it at the terminal.
            password=endpoint.tls_key_password.get_secret_value(),
        )
    except (OSError, ValueError) as error:
        key = endpoint.tls_key or "in the same file"
        raise ConfigurationError(
            f"`tls_certificate` ({endpoint.tls_certificate}) and `tls_key` ({key}) of {service} are not a certificate "
            "and its key in PEM, or `tls_key_password` is wrong: "
            f"{getattr(error, 'strerror', None) or error}."
        ) from error


def login_headers(endpoint: Endpoint, address: Address) -> dict[str, str]:
    """Return what each request to an address says of who asks, and that it wants JSON."""
    headers = {"Accept": "application/json"}
    if token := endpoint.token.get_secret_value().strip():
        return {**headers, "Authorization": f"Bearer {token}"}
    username, password = endpoint.username, endpoint.password.get_secret_value()
    if not username:
        username, password = address.username, address.password
    if username or password:
        account = b64encode(f"{username}:{password}".encode()).decode()
        learn(account)
        headers["Authorization"] = f"Basic {account}"
    return headers


def proxies_for(url: str) -> dict[str, str]:
    """Return the proxies of the environment for an address; none for one of this machine."""
    host = urlsplit(url).hostname or ""
    loopback = host == "localhost" or host.endswith(".localhost")
    with suppress(ValueError):
        loopback = loopback or ip_address(host).is_loopback
    proxies: dict[str, str] = {} if loopback else get_environ_proxies(url)
    for proxy in proxies.values():
        learn(*secrets_in(proxy))
    return proxies
