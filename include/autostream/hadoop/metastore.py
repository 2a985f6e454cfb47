"""Hive Metastore over Thrift: the one place that knows its versions, its servers, and whose account it is asked by.

Metastores from 2.3 to 4.x speak one protocol with changing calls: 4.0.1 took away `get_table`, 4.1 more. Which call a
server has is found out by what it answers, once a server.
"""

from __future__ import annotations

import base64
import copy
import getpass
import io
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlparse

from hive_metastore.ThriftHiveMetastore import Client
from hive_metastore.ttypes import (
    AlterTableRequest,
    CreateTableRequest,
    Database,
    EnvironmentContext,
    FieldSchema,
    GetDatabaseRequest,
    GetTableRequest,
    GetTablesRequest,
    InvalidOperationException,
    MetaException,
    Table,
)
from thrift.Thrift import TApplicationException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from autostream.errors import ConfigurationError, DeniedError, ServiceError
from autostream.hadoop.accounts import refused_impersonation, short_name
from autostream.hadoop.kerberos import KerberosIdentity, ensure_ticket, security_context
from autostream.hadoop.sasl import GssapiTransport, SaslTransport
from autostream.hadoop.thrift_answers import (
    BROKEN,
    MetastoreAnswerLostError,
    ThriftProtocol,
    is_repeatable,
    thrift_reason,
)
from autostream.properties import Properties

logger = logging.getLogger(__name__)
# It logs each server that cannot be reached, with a traceback; our errors name them all.
logging.getLogger("thrift.transport.TSocket").setLevel(logging.CRITICAL)

T = TypeVar("T")

DEFAULT_PORT: Final = 9083
MODIFIED: Final = "The table has been modified"
"""How a metastore with compare-and-swap (HIVE-26882) begins its answer to an expected value that is not there."""


@dataclass(frozen=True)
class MetastoreSettings:
    """How a metastore is reached.

    Attributes:
        uris: its servers, `thrift://host:port`, tried in turn.
        kerberos: whether it asks for Kerberos (SASL GSSAPI).
        service: first part of its Kerberos principal.
        user: the service's own account, for simple mode; under Kerberos the ticket says it.
        groups: groups of that account, for simple mode.
        timeout_seconds: how long an answer is waited for; what takes longer counts as lost.
        connect_timeout_seconds: how long a connection is tried for.
        identity: the service's Kerberos principal, keytab and ticket cache.
    """

    uris: tuple[str, ...]
    kerberos: bool = False
    service: str = "hive"
    user: str | None = None
    groups: tuple[str, ...] = ()
    timeout_seconds: float = 60.0
    connect_timeout_seconds: float = 10.0
    identity: KerberosIdentity = field(default_factory=KerberosIdentity)

    @classmethod
    def from_properties(cls, properties: Mapping[str, str], *, owner: str = "") -> MetastoreSettings:
        """Return what a catalog's properties say: PyIceberg's own names, and `hive.client-timeout-seconds`.

        Args:
            properties: the catalog's.
            owner: what messages call it, such as `Catalog lake`.

        Raises:
            ConfigurationError: there is no usable `uri`, or another value is not allowed.
        """
        uris = tuple(uri.strip() for uri in properties.get("uri", "").split(",") if uri.strip())
        for uri in uris or ("",):
            if not _is_address(uri):
                raise ConfigurationError(
                    f"Invalid address of a metastore {uri!r} in catalog property uri. Write "
                    f"thrift://HOST:{DEFAULT_PORT}. Separate several addresses by commas."
                )
        said = Properties(owner, properties).without_blanks()
        user, _, groups = said.text("ugi", "").partition(":")
        return cls(
            uris=uris,
            kerberos=said.boolean("hive.kerberos-authentication", False),
            service=said.text("hive.kerberos-service-name", "hive"),
            user=user or None,
            groups=tuple(group for group in groups.split(",") if group),
            timeout_seconds=said.number("hive.client-timeout-seconds", cls.timeout_seconds, above=0),
            connect_timeout_seconds=said.number("hive.connect-timeout-seconds", cls.connect_timeout_seconds, above=0),
            identity=KerberosIdentity(
                principal=said.text("hive.principal", ""),
                keytab=said.text("hive.keytab", ""),
                cache=said.text("hive.credential-cache", ""),
            ),
        )

    @property
    def account(self) -> str:
        """The service's account or principal: as configured, else that of the ticket or of this process."""
        if not self.kerberos:
            return self.user or getpass.getuser()
        return self.identity.principal or ensure_ticket(self.identity).principal


def _is_address(uri: str) -> bool:
    try:
        parts = urlparse(uri)
        return parts.scheme == "thrift" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a bracket too many
        return False


@dataclass
class _Server:
    """What was learnt about a server."""

    missing: set[str] = field(default_factory=set)
    compare_and_swap: bool | None = None
    catalogs: bool | None = None
    answers: bool = False


_asked_first: Final[dict[tuple[str, ...], str]] = {}
"""Of each list of servers that this process asks, the one that answered last, or the next one where that failed."""


class MetastoreClient(Client):  # type: ignore[misc]
    """The Thrift client, with today's request-object calls where the server no longer has the old ones."""

    def __init__(self, protocol: ThriftProtocol, server: _Server) -> None:
        super().__init__(protocol)
        self._server = server

    def _either(self, method: str, old: Callable[[], T], new: Callable[[], T]) -> T:
        if method not in self._server.missing:
            try:
                return old()
            except TApplicationException as error:
                if error.type != TApplicationException.UNKNOWN_METHOD:
                    raise
                logger.debug("The metastore has no %s. Using its request-object call from now on.", method)
                self._server.missing.add(method)
        return new()

    def get_table(self, dbname: str, tbl_name: str) -> Table:
        """Return a table; NoSuchObjectException where there is none."""
        return self._either(
            "get_table",
            lambda: super(MetastoreClient, self).get_table(dbname, tbl_name),
            lambda: self.get_table_req(GetTableRequest(dbName=dbname, tblName=tbl_name)).table,
        )

    def get_table_objects_by_name(self, dbname: str, tbl_names: list[str]) -> list[Table]:
        """Return the tables of these names that exist."""
        return self._either(
            "get_table_objects_by_name",
            lambda: super(MetastoreClient, self).get_table_objects_by_name(dbname, tbl_names),
            lambda: self.get_table_objects_by_name_req(GetTablesRequest(dbName=dbname, tblNames=tbl_names)).tables,
        )

    def get_database(self, name: str) -> Database:
        """Return a database; NoSuchObjectException where there is none."""
        return self._either(
            "get_database",
            lambda: super(MetastoreClient, self).get_database(name),
            lambda: self.get_database_req(GetDatabaseRequest(name=name, catalogName="hive")),
        )

    def create_table(self, tbl: Table) -> None:
        """Create a table; AlreadyExistsException where there is one."""
        self._either(
            "create_table",
            lambda: super(MetastoreClient, self).create_table(tbl),
            lambda: self.create_table_req(CreateTableRequest(table=tbl)),
        )

    def alter_table_with_environment_context(
        self, dbname: str, tbl_name: str, new_tbl: Table, environment_context: EnvironmentContext
    ) -> None:
        """Replace a table's definition."""
        self._either(
            "alter_table_with_environment_context",
            lambda: super(MetastoreClient, self).alter_table_with_environment_context(
                dbname, tbl_name, new_tbl, environment_context
            ),
            lambda: (
                self.alter_table_req(
                    AlterTableRequest(
                        dbName=dbname, tableName=tbl_name, table=new_tbl, environmentContext=environment_context
                    )
                )
                and None
            ),
        )

    def has_catalogs(self) -> bool:
        """Say whether the server is of Hive 3 or later, which brought catalogs; version numbers say 3.0 of all."""
        if self._server.catalogs is None:
            try:
                self.get_catalogs()
                self._server.catalogs = True
            except TApplicationException as error:
                if error.type != TApplicationException.UNKNOWN_METHOD:
                    raise
                self._server.catalogs = False
        return self._server.catalogs

    def compares_and_swaps(self, table: Table) -> bool:
        """Say whether the server compares and swaps a table parameter (HIVE-26882: 4.0, 2.3.10, and what was patched).

        Asked once a server, by an alteration that none can carry out: it expects a value that is not there, and would
        change the partition keys. A server with compare-and-swap says that the table has been modified, one without
        that partition keys cannot be changed; neither changes anything.
        """
        if self._server.compare_and_swap is None:
            self._server.compare_and_swap = self._probe(table)
        return self._server.compare_and_swap

    def _probe(self, table: Table) -> bool:
        impossible = copy.deepcopy(table)
        impossible.partitionKeys = [*(table.partitionKeys or []), FieldSchema("autostream_probe", "string", "")]
        expected = {"expected_parameter_key": "metadata_location", "expected_parameter_value": "autostream-probe"}
        try:
            self.alter_table_with_environment_context(
                table.dbName, table.tableName, impossible, EnvironmentContext(properties=expected)
            )
        except MetaException as error:
            if MODIFIED in (error.message or ""):
                return True
            raise
        except InvalidOperationException:
            return False
        raise ServiceError(
            f"The metastore accepted a forbidden change of the partition keys of {table.dbName}.{table.tableName}. "
            "Set the catalog property autostream.hive.compare-and-swap to true or false, so that autostream does "
            "not test the metastore this way."
        )


class _Session:
    """A connection, and after it the next server's where it breaks; used through `MetastoreClient`'s calls.

    No generator: contextlib sets attributes of exceptions, which Thrift's do not allow.
    """

    def __init__(self, metastore: Metastore, account: str | None) -> None:
        self._metastore, self._account = metastore, account
        self._failures: dict[str, str] = {}
        self._connection: _Connection | None = None

    def __enter__(self) -> MetastoreClient:
        self._connected()
        return cast(MetastoreClient, self)

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> _Connection:
        if self._connection is None:
            self._connection = self._metastore.connect(self._account, self._failures)
        return self._connection

    def __getattr__(self, name: str) -> Any:
        """Return a call of the client: what may be made twice is made at the next server where this one fails."""

        def call(*args: Any, **kwargs: Any) -> Any:
            while True:
                connection = self._connected()
                try:
                    return getattr(connection.client, name)(*args, **kwargs)
                except BROKEN as error:
                    self._failures[connection.uri] = thrift_reason(error)
                    self._connection = None
                    connection.close()
                    self._metastore.pass_over(connection.uri)
                    if not is_repeatable(name):
                        raise MetastoreAnswerLostError(
                            f"The metastore {connection.uri} did not answer {name}: {thrift_reason(error)}. It is "
                            "not known whether it did the operation."
                        ) from error

        return call


@dataclass(frozen=True)
class _Connection:
    """A connection to a server."""

    uri: str
    client: MetastoreClient
    transport: Any

    def close(self) -> None:
        """Close it."""
        self.transport.close()


@dataclass(frozen=True)
class _Token:
    """A delegation token as SASL DIGEST-MD5 takes it: both parts in base64."""

    identifier: str
    password: str = field(repr=False)


class Metastore:
    """Sessions with a metastore, as the service itself or as an account that it acts for; safe to share by threads.

    In simple mode the account is told by `set_ugi`, which the metastore believes. Under Kerberos it ignores that, so
    the service asks it for a delegation token of the account and comes back with the token.
    """

    def __init__(self, settings: MetastoreSettings) -> None:
        """Take the settings; nothing is connected yet."""
        self.settings = settings
        self._servers = {uri: _Server() for uri in settings.uris}
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()

    def session(self, account: str | None = None) -> AbstractContextManager[MetastoreClient]:
        """Return a connection as the service, or as an account that it acts for; entering it opens it.

        Raises:
            ServiceError: on entering: no server can be reached.
            DeniedError: on entering: the service may not act for the account, or may not connect.
        """
        return _Session(self, None if account == self.settings.user else account)

    def connect(self, account: str | None, failures: dict[str, str]) -> _Connection:
        """Open a connection, which the caller closes, to a server that is not among the failures; add to those.

        Raises:
            ServiceError: there is none.
            DeniedError: a server did not let us in, and no other one did.
        """
        if account is None or not self.settings.kerberos:
            return self._first_that_answers(account, self._wrapping(account), failures)
        try:
            return self._first_that_answers(account, self._wrapping(account), dict(failures))
        except DeniedError:  # the token has expired, or a restarted server does not know it
            with self._lock:
                self._tokens.pop(account, None)
            return self._first_that_answers(account, self._wrapping(account), failures)

    def _wrapping(self, account: str | None) -> Callable[[TSocket], Any]:
        """Return what makes a transport of a socket: plain, or one that proves who we are."""
        settings = self.settings
        if not settings.kerberos:
            return lambda socket: TBufferedTransport(socket)
        if account is None:
            ticket = ensure_ticket(settings.identity)
            return lambda socket: GssapiTransport(
                socket, security_context(ticket, service=settings.service, host=socket.host)
            )
        token = self._token(account)
        return lambda socket: SaslTransport(
            socket,
            host="default",
            service="null",
            mechanism="DIGEST-MD5",
            username=token.identifier,
            password=token.password,
        )

    def pass_over(self, uri: str) -> None:
        """Have the next server asked before one that failed."""
        self._servers[uri].answers = False
        uris = self.settings.uris
        if self.in_turn()[0] == uri:  # else another thread has moved on already
            _asked_first[uris] = uris[(uris.index(uri) + 1) % len(uris)]

    def in_turn(self) -> list[str]:
        """Return the server that answered last in this process, then the others."""
        uris = list(self.settings.uris)
        first = uris.index(_asked_first.get(self.settings.uris, uris[0]))
        return uris[first:] + uris[:first]

    def _first_that_answers(
        self, account: str | None, wrap: Callable[[TSocket], Any], failures: dict[str, str]
    ) -> _Connection:
        denied: DeniedError | None = None
        for uri in self.in_turn():
            if uri in failures:
                continue
            try:
                connection = self._open(uri, account, wrap)
            except BROKEN as error:
                if "SASL" in str(error):  # it was reached, and did not want us
                    denied = denied or self._not_let_in(uri, error)
                self.pass_over(uri)
                failures[uri] = thrift_reason(error)
            except DeniedError:
                raise
            except Exception as error:  # of a security library: each has its own
                denied = denied or self._not_let_in(uri, error)
                failures[uri] = thrift_reason(error)
            else:
                _asked_first[self.settings.uris] = uri
                return connection
        if denied is not None:
            raise denied
        told = "; ".join(f"{uri}: {reason}" for uri, reason in failures.items())
        raise ServiceError(
            f"No metastore answered: {told}. Check the catalog property uri, check that the metastore is up, and "
            "whether it requires Kerberos (hive.kerberos-authentication)."
        )

    def _open(self, uri: str, account: str | None, wrap: Callable[[TSocket], Any]) -> _Connection:
        settings, server, parts = self.settings, self._servers[uri], urlparse(uri)
        socket = TSocket(parts.hostname, parts.port or DEFAULT_PORT)
        socket.setTimeout(settings.connect_timeout_seconds * 1000)
        try:
            transport = wrap(socket)
            transport.open()
            client = MetastoreClient(ThriftProtocol(transport), server)
            # Where there is another one to ask, a server has to show first that it answers at all.
            shows = len(settings.uris) > 1 and not server.answers
            if not shows:
                socket.setTimeout(settings.timeout_seconds * 1000)
            if not settings.kerberos and (user := account or settings.user):
                client.set_ugi(user, [] if account else list(settings.groups))
            elif shows:
                with suppress(TApplicationException):
                    client.getStatus()
        except BaseException:
            socket.close()
            raise
        server.answers = True
        socket.setTimeout(settings.timeout_seconds * 1000)
        return _Connection(uri, client, transport)

    def _not_let_in(self, uri: str, error: Exception) -> DeniedError:
        return DeniedError(
            f"The metastore {uri} refused the login of {self.settings.account}: {error}. Check that you have a valid "
            f"Kerberos ticket (klist). Set hive.kerberos-service-name (now {self.settings.service}) to the first "
            "part of the metastore's principal."
        )

    def _token(self, account: str) -> _Token:
        """Return a delegation token of an account, kept for as long as the metastore takes it."""
        with self._lock:
            if account not in self._tokens:
                service = short_name(self.settings.account)
                with self.session() as client:
                    try:
                        text = client.get_delegation_token(account, service)
                    except MetaException as error:
                        raise DeniedError(
                            refused_impersonation(
                                service=self.settings.account,
                                proxy=account,
                                server=f"The metastore {self.in_turn()[0]}",
                                operation="get a delegation token",
                                answer=error.message or "",
                            )
                        ) from error
                self._tokens[account] = _decode_token(text)
            return self._tokens[account]


def _decode_token(text: str) -> _Token:
    """Decode Hadoop's `Token.encodeToUrlString`: identifier and password, each after its length as a vint."""
    stream = io.BytesIO(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def part() -> str:
        length = int.from_bytes(stream.read(1), "big", signed=True)
        if length < -112:  # a vint of several bytes: this one says how many follow
            length = int.from_bytes(stream.read(-112 - length), "big")
        return base64.b64encode(stream.read(length)).decode()

    return _Token(part(), part())
