"""Secrets, hidden wherever text leaves the process: in messages, logs, JSON, pages and files.

Two things hide one. What is known to be secret (`learn`: passwords of the configuration, of catalogs, of connections)
is hidden wherever it stands, and what looks like one is hidden by its surroundings: a URL's password, a query
parameter, a header, a token. Errors hide theirs when they are made, logs when they are written.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote

MASK: Final = "********"
ESCAPES: Final = "In a password write %40 for @, %2F for /, %3A for : and %25 for %."

_WORDS: Final = (
    "secret|passw(?:or)?d|passphrase|token|credential|private[-_.]?key|access[-_.]?key|account[-_.]?key|api[-_.]?key|"
    "connection[-_.]?string|authorization|cookie|signature"
)
_KEY: Final = rf"(?:[\w.-]*(?:{_WORDS})[\w.-]*|(?:[\w.-]*[-_.])?(?:sas|sig|pwd|pw|pass|delegation|auth))"
_IS_SECRET: Final = re.compile(_KEY, re.I)

_SCHEME: Final = r"[a-z][a-z0-9+.-]*://"
# A number after the colon is a port. Up to the last @: passwords have @ and / in them though they should be encoded.
_NO_PORT: Final = r"(?!\d{1,5}(?:[/?#,;]|$))"
_IN_URL: Final = rf"(?:(?!,?{_SCHEME})[^\s'\"<>`])+"
_PATTERNS: Final = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"(?P<before>{_SCHEME}[^\s:@/\[?#'\"<>`]*:{_NO_PORT})(?P<secret>{_IN_URL})(?=@)",
        r"(?P<before>https?://)(?P<secret>[^\s:@/?#'\"<>`]+)(?=@)",  # a token instead of a user
        rf"(?P<before>(?:^|[\s?&;,({{\['\"])-*{_KEY}\\?['\"]?=b?\\?['\"]?)"
        r"(?P<secret>(?<=['\"])[^'\"\\]+|[^\s&;,'\")\]}\\]+)",
        rf"(?P<before>['\"]{_KEY}\\?['\"]\s*:\s*b?\\?['\"])(?P<secret>[^'\"\\]+)",
        rf"(?P<before>(?:^|[\s,({{])(?!\w*invalid)[\w.-]*[-_.](?:{_WORDS})[\w.-]*:\s)(?P<secret>[^\s'\",}}]+)",
        r"(?P<before>authorization['\"]?\s*[:=]\s*b?['\"]?(?:\w+\s+(?=\S))?)(?P<secret>[^\s'\",}]+)",
        r"(?P<before>\b(?:bearer|basic|negotiate)\s+)(?P<secret>(?=[^\s'\"]*(?:\d|(?-i:[a-z][A-Z])))[\w+/.~=-]{8,})",
        r"(?P<before>\b(?:set-)?cookie\s*:\s*)(?P<secret>[^\r\n'\"]+)",
        r"(?P<before>)(?P<secret>\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)",  # a JSON web token
        r"(?P<before>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?P<secret>[\s\S]+?)(?=-----END|\Z)",
    )
)
_USER_AND_PASSWORD: Final = tuple(
    re.compile(rf"(?:{_SCHEME}|(?!{_SCHEME}|[^:]*[\s\"']))(?P<user>[^:@/]*):{_NO_PORT}(?P<password>{password})@", re.I)
    for password in (r"[\s\S]+", "[^/]+", "[^@]+")  # as people mean it, as RFC 3986 has it, as SQLAlchemy reads it
)
_CUT_PASSWORD: Final = re.compile(rf"{_SCHEME}[^\s:@/?#]*:(?:{_NO_PORT}[^@/?#]*[/?#][^@]*@|[^@/?#]*@[^?#]*@)", re.I)

# Whoever has one of these for a password has none, and a log in which each of these words is hidden tells nothing. By
# their surroundings they are hidden all the same.
_COMMON_WORDS: Final = """
    admin airflow autostream changeit changeme database default example false flink hadoop hdfs hive iceberg lake local
    localhost none null password postgres postgresql root secret spark sqlite table test true user zookeeper
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_LEAST_CHARACTERS: Final = 4
_LONG_CHARACTERS: Final = 10

_HARMLESS_PROPERTIES: Final = """
    type uri warehouse prefix py-catalog-impl catalog-impl py-io-impl io-impl py-location-provider-impl
    init_catalog_tables init-catalog-tables echo pool_pre_ping pool-pre-ping downcast-ns-timestamp-to-us-on-write
    scope audience resource oauth2-server-uri auth.type snapshot-loading-mode scan-planning-mode rest-page-size
    namespace-separator view-endpoints-supported ssl.cabundle
    rest.sigv4-enabled rest.sigv4.max-retries rest.signing-name rest.signing-region
    client.region client.profile-name client.role-arn client.role-session-name
    s3.anonymous s3.connect-timeout s3.endpoint s3.force-virtual-addressing s3.path-style-access s3.profile-name
    s3.proxy-uri s3.region s3.request-timeout s3.resolve-region s3.retry-strategy-impl s3.role-arn s3.role-session-name
    s3.server-side-encryption s3.signer s3.signer.endpoint s3.signer.uri
    adls.account-host adls.account-name adls.anon adls.blob-storage-authority adls.blob-storage-scheme
    adls.dfs-storage-authority adls.dfs-storage-scheme adls.tenant-id
    gcs.access gcs.cache-timeout gcs.consistency gcs.default-bucket-location gcs.project-id gcs.requester-pays
    gcs.service.host gcs.version-aware gcp.bigquery.location gcp.bigquery.project-id hf.endpoint
    glue.endpoint glue.id glue.max-retries glue.profile-name glue.region glue.retry-mode glue.skip-archive
    dynamodb.profile-name dynamodb.region table-name
    hdfs.host hdfs.port hdfs.user hdfs.kerberos_ticket hdfs.kerberos-ticket
    hive.hive2-compatible hive.kerberos-authentication hive.kerberos-service-name hive.principal hive.keytab
    hive.credential-cache hive.client-timeout-seconds hive.connect-timeout-seconds ugi
    lock-check-max-wait-time lock-check-min-wait-time lock-check-retries
    webhdfs.authentication webhdfs.connect-timeout-seconds webhdfs.credential-cache webhdfs.keytab webhdfs.principal
    webhdfs.read-timeout-seconds webhdfs.retries webhdfs.tls-ca webhdfs.tls-verify webhdfs.urls webhdfs.user
    zookeeper.hosts zookeeper.root zookeeper.session_timeout_seconds zookeeper.connect_timeout_seconds
    zookeeper.username zookeeper.sasl_mechanism zookeeper.sasl_service zookeeper.acl zookeeper.tls zookeeper.tls_ca
    zookeeper.tls_certificate zookeeper.tls_key
    autostream.lock.type autostream.lock.catalog autostream.lock.timeout-ms autostream.proxy-user
    autostream.hive.compare-and-swap
"""
HARMLESS: Final = frozenset(_HARMLESS_PROPERTIES.split())
"""Catalog properties that may be shown; whatever else a catalog has may be a secret."""

_guard = threading.Lock()
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def mask(text: str) -> str:
    """Return a text with the secrets in it hidden."""
    known = _pattern
    if known is not None:
        text = known.sub(MASK, text)
    for pattern in _PATTERNS:
        text = pattern.sub(_hide, text)
    return text


def mask_all(document: Any) -> Any:
    """Return a JSON document with the secrets in its texts hidden: its keys stay, and so do numbers."""
    match document:
        case str():
            return mask(document)
        case Mapping():
            return {key: mask_setting(str(key), value) for key, value in document.items()}
        case list() | tuple():
            return [mask_all(item) for item in document]
        case _:
            return document


def mask_setting(key: str, value: Any) -> Any:
    """Return the value of a setting as it may be shown: hidden where its key says that it is a secret."""
    if isinstance(value, str):
        return MASK if value and is_secret(key) else mask(value)
    return mask_all(value)


def mask_property(key: str, value: str) -> str:
    """Return the value of a catalog's property as it may be shown: hidden where it is not known to be harmless."""
    harmless = key in HARMLESS or value.lower() in ("", "true", "false")
    return mask(value) if harmless else MASK


def is_secret(key: str) -> bool:
    """Say whether the name of a setting says that its value is a secret."""
    return _IS_SECRET.fullmatch(key) is not None


def learn(*secrets: str) -> None:
    """Have these values hidden wherever they stand from now on, also as URLs, JSON and Python write them."""
    global _pattern
    with _guard:
        new = {form for secret in secrets for form in _forms(secret)} - _known
        if new:
            _known.update(new)
            _pattern = re.compile("|".join(map(_exactly, sorted(_known, key=len, reverse=True))))


def learn_from(properties: Mapping[str, object]) -> None:
    """Have the secrets among settings or a catalog's properties hidden: by their keys, and in their URLs."""
    for key, value in properties.items():
        if isinstance(value, str):
            own = key.startswith("header.") or (is_secret(key) and key not in HARMLESS)
            learn(*(value,) if own else secrets_in(value))
            if key == "credential":  # of OAuth: CLIENT:SECRET
                learn(value.rpartition(":")[2])
        elif isinstance(value, Mapping):
            learn_from(value)


def cuts_password(url: str) -> bool:
    """Say whether clients would end a URL's password too early: they ask for a part of it as a host, and show it."""
    return _CUT_PASSWORD.match(url) is not None


def known() -> frozenset[str]:
    """Return what is hidden wherever it stands."""
    return frozenset(_known)


def forget() -> None:
    """Have nothing hidden any more but what looks like a secret; for tests."""
    global _pattern
    with _guard:
        _known.clear()
        _pattern = None


def secrets_in(text: str) -> Iterator[str]:
    """Yield the secrets in a URL, or in several: passwords, and those of the query."""
    for part in {text, *re.split(rf",(?={_SCHEME})", text.strip(), flags=re.I)}:
        found = (pattern.match(part) for pattern in _USER_AND_PASSWORD)
        yield from (url["password"] for url in found if url and url["password"] != url["user"])
        if "?" in part:
            query = parse_qsl(part.partition("?")[2])
            yield from (value for key, value in query if is_secret(key))


class MaskingFormatter(logging.Formatter):
    """Formats log records as another formatter does, with secrets hidden: those in tracebacks too."""

    def __init__(self, formatter: logging.Formatter) -> None:
        """Take the other formatter."""
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return mask(self._formatter.format(record))


def _hide(match: re.Match[str]) -> str:
    return f"{match['before']}{MASK}"


def _forms(secret: str) -> Iterable[str]:
    """Return the ways in which a secret may be written; none of what is too common or too short to be searched for."""
    for text in {secret, unquote(secret)}:
        if len(text) >= _LEAST_CHARACTERS and text.lower() not in _COMMON and set(text) != {"*"}:
            yield from (text, quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1], repr(text)[1:-1])


def _exactly(secret: str) -> str:
    """Return the pattern of a secret; a short one may be a part of words that mean something else."""
    found = re.escape(secret)
    return found if len(secret) >= _LONG_CHARACTERS else rf"(?<!\w){found}(?!\w)"
