"""Kerberos tickets: the one that someone else keeps fresh in a credential cache, or one of our own from a keytab.

Under Airflow its ticket renewer (`airflow kerberos`) writes the cache, which is read again whenever a ticket is needed.
Where a keytab is configured, and the cache has no ticket of that principal that still lasts, one is fetched into a
cache in this process's memory: nobody else's file is touched.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from autostream import times
from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError

if TYPE_CHECKING:
    from spnego import ContextProxy

# A ticket that ends within this time is not begun with: the server's clock may be ahead, and the work takes time.
MARGIN_SECONDS: Final = 60.0

_KDC_UNREACHABLE: Final = frozenset({-1765328228, -1765328230})  # KRB5_KDC_UNREACH, KRB5_REALM_CANT_RESOLVE

_fetching = threading.Lock()


@dataclass(frozen=True)
class KerberosIdentity:
    """Who to be, and where the ticket is from.

    Attributes:
        principal: such as `svc@REALM`; empty: the owner of the credential cache.
        keytab: file of the principal's keys; empty: the cache alone counts.
        cache: name of the credential cache, such as `FILE:/run/airflow/ccache`; empty: that of KRB5CCNAME or krb5.conf.
    """

    principal: str = ""
    keytab: str = ""
    cache: str = ""


@dataclass(frozen=True)
class Ticket:
    """A ticket-granting ticket.

    Attributes:
        principal: whose it is, with realm.
        cache: name of the credential cache that holds it, as KRB5CCNAME takes it.
        expires_at: when it ends; aware, UTC.
    """

    principal: str
    cache: str
    expires_at: datetime

    def lasts(self, now_seconds: float) -> bool:
        """Say whether it can still be used at a time (seconds since the epoch)."""
        return self.expires_at.timestamp() - now_seconds > MARGIN_SECONDS


def ensure_ticket(identity: KerberosIdentity, *, renew: bool = False) -> Ticket:
    """Return a ticket that lasts: the one in the cache if it does, else a new one by the keytab.

    Args:
        identity: who to be.
        renew: fetch a new one, if there is a keytab, even if the one at hand seems good: a server has refused it.

    Raises:
        ConfigurationError: the keytab is missing or has no key of the principal, or a Python package is missing.
        DeniedError: there is no valid ticket, and none could be got.
        ServiceError: the key distribution centre cannot be reached.
    """
    found: Ticket | None = None
    problem = ""
    try:
        found = read_ticket(identity.cache)
    except DeniedError as error:
        problem = str(error)
    if found is not None:
        problem = _objection(found, identity, times.now_ms() / 1000)
        if not problem and not (renew and identity.keytab):
            return found
    if not identity.keytab:
        raise DeniedError(
            f"{problem} Get a ticket with kinit, or run Airflow's ticket renewer ('airflow kerberos') for the cache "
            "that KRB5CCNAME names, or configure a keytab and its principal."
        )
    return _ticket_by_keytab(identity, renew=renew)


def read_ticket(cache: str = "") -> Ticket:
    """Return the ticket-granting ticket in a credential cache, expired or not.

    Args:
        cache: its name; empty: that of KRB5CCNAME or krb5.conf.

    Raises:
        DeniedError: there is no such cache, or no ticket in it.
    """
    krb5 = _krb5()
    context = krb5.init_context()
    name = cache.encode() or krb5.cc_default_name(context)
    try:
        opened = krb5.cc_resolve(context, name)
        principal = opened.principal
        tickets = [creds for creds in opened if creds.server.name.startswith(b"krbtgt/")] if principal else []
    except krb5.Krb5Error as error:
        raise DeniedError(f"No Kerberos ticket in {name.decode()}: {_reason(error)}.") from error
    if principal is None or not tickets:
        raise DeniedError(f"No Kerberos ticket in {name.decode()}.")
    ends = max(creds.times.endtime for creds in tickets)
    return Ticket(principal.name.decode(), name.decode(), datetime.fromtimestamp(ends, UTC))


def security_context(ticket: Ticket, *, service: str, host: str, protocol: str = "kerberos") -> ContextProxy:
    """Open a GSSAPI context for `service@host` with this ticket: `step` exchanges tokens, `wrap` and `unwrap` seal.

    Args:
        ticket: of `ensure_ticket`.
        service: `HTTP`, `hive`, ...
        host: the server's name as its principal has it.
        protocol: `kerberos`, or `negotiate` for SPNEGO.
    """
    import spnego

    return spnego.client(
        username=spnego.KerberosCCache(ticket.cache, principal=ticket.principal),
        hostname=host,
        service=service,
        protocol=protocol,
        context_req=spnego.ContextReq.mutual_auth | spnego.ContextReq.sequence_detect | spnego.ContextReq.integrity,
    )


def _objection(ticket: Ticket, identity: KerberosIdentity, now_seconds: float) -> str:
    """Why a ticket will not do; empty where it will."""
    if identity.principal and not _same_principal(identity.principal, ticket.principal):
        return f"The Kerberos ticket in {ticket.cache} belongs to {ticket.principal}, not to {identity.principal}."
    if not ticket.lasts(now_seconds):
        ended = f"{ticket.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return f"The Kerberos ticket of {ticket.principal} in {ticket.cache} ends or ended at {ended}."
    return ""


def _same_principal(wanted: str, found: str) -> bool:
    """Without a realm, any realm's."""
    return wanted == found or ("@" not in wanted and wanted == found.rsplit("@", 1)[0])


def _ticket_by_keytab(identity: KerberosIdentity, *, renew: bool) -> Ticket:
    cache = f"MEMORY:autostream-{identity.principal}-{identity.keytab}"
    with _fetching:  # one for all threads
        try:
            own = read_ticket(cache)
            if own.lasts(times.now_ms() / 1000) and not renew:
                return own
        except DeniedError:
            pass
        _fetch(identity, cache)
        return read_ticket(cache)


def _fetch(identity: KerberosIdentity, cache: str) -> None:
    krb5 = _krb5()
    # Only a file can be looked for; other kinds of keytab are libkrb5's to judge.
    path = identity.keytab.removeprefix("FILE:")
    if ":" not in path and not Path(path).is_file():
        raise ConfigurationError(f"Keytab {path} does not exist. Correct the path, or copy the keytab to this machine.")
    if not identity.principal:
        raise ConfigurationError(f"Keytab {path} is configured without its principal. Configure the principal as well.")
    context = krb5.init_context()
    try:
        principal = krb5.parse_name_flags(context, identity.principal.encode())
        keytab = krb5.kt_resolve(context, identity.keytab.encode())
        options = krb5.get_init_creds_opt_alloc(context)
        creds = krb5.get_init_creds_keytab(context, principal, options, keytab=keytab)
        target = krb5.cc_resolve(context, cache.encode())
        krb5.cc_initialize(context, target, creds.client)
        krb5.cc_store_cred(context, target, creds)
    except krb5.Krb5Error as error:
        raise _fetch_error(identity, error) from error


def _fetch_error(identity: KerberosIdentity, error: Any) -> AutostreamError:
    what = f"No Kerberos ticket for {identity.principal} with keytab {identity.keytab}: {_reason(error)}."
    if error.err_code in _KDC_UNREACHABLE:
        return ServiceError(
            f"{what} Check that the KDCs in krb5.conf (KRB5_CONFIG) are up and reachable from this machine."
        )
    return DeniedError(
        f"{what} 'klist -k {identity.keytab}' shows the principals of its keys. The keys must have the newest version."
    )


def _reason(error: Any) -> str:
    """Return the library's words, without its number."""
    return str(error).removesuffix(str(error.err_code)).strip().rstrip(".")


def _krb5() -> Any:
    try:
        import krb5
    except ImportError as error:
        raise ConfigurationError(
            f"Kerberos needs Python packages that are not installed: {error}. Run pip install 'autostream[hadoop]'."
        ) from error
    return krb5
