"""What failures of a ZooKeeper session mean to a user, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionLoss,
    InvalidACLError,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionClosedRequireSaslError,
    SessionExpiredError,
    SessionMovedError,
)
from kazoo.handlers.threading import KazooTimeoutError

from autostream.config.sections.zookeeper import ZooKeeperSettings
from autostream.coordination.port_probe import what_else_answers
from autostream.coordination.session_settings import account
from autostream.errors import AutostreamError, ConfigurationError, DeniedError, ServiceError

# Whether the server did what it was asked to is not known after one of these.
IN_DOUBT: Final = (
    ConnectionLoss,
    SessionExpiredError,
    SessionMovedError,
    OperationTimeoutError,
    RequestTimeoutError,
    KazooTimeoutError,
)
ABOUT_NODES: Final = (NoNodeError, NodeExistsError, NotEmptyError, BadVersionError)
REFUSED: Final = (AuthFailedError, SessionClosedRequireSaslError)


class InterruptedSessionError(ServiceError):
    """A request got no answer, as the connection or the session ended: it may or may not have been carried out."""


def explain_session_failure(settings: ZooKeeperSettings, operation: str, error: Exception) -> AutostreamError:
    """Return what an error of kazoo means to a user."""
    if isinstance(error, NoAuthError):
        return DeniedError(
            f"ZooKeeper at {settings.hosts} does not allow {operation} for {account(settings)}. Nodes belong to the "
            "account that created them. Set zookeeper.username and zookeeper.password to that account, or change "
            "the ACL of the nodes. With the digest scheme, a wrong password has no other symptom."
        )
    if isinstance(error, InvalidACLError):
        return ConfigurationError(
            f"ZooKeeper at {settings.hosts} does not know {account(settings)}, so {operation} with an ACL for this "
            "account is not possible. Set zookeeper.username and zookeeper.password, or set zookeeper.acl to 'open'."
        )
    if isinstance(error, REFUSED):
        return _refused(settings)
    if not isinstance(error, IN_DOUBT):
        return ServiceError(
            f"ZooKeeper at {settings.hosts} answered {type(error).__name__} to {operation}. The log of ZooKeeper has "
            "the reason."
        )
    reason = "in time" if isinstance(error, KazooTimeoutError) else f"({type(error).__name__})"
    return InterruptedSessionError(
        f"ZooKeeper at {settings.hosts} did not answer {operation} {reason}. Check that a majority of its servers is "
        "up and reachable, then try again."
    )


def _refused(settings: ZooKeeperSettings) -> DeniedError:
    if settings.sasl_mechanism == "GSSAPI":
        remedy = (
            "Check that you have a valid Kerberos ticket (klist), that zookeeper.hosts has the host names of the "
            f"servers' principals, and that zookeeper.sasl_service ({settings.sasl_service}) is the service name of "
            "these principals."
        )
    elif settings.sasl_mechanism:
        remedy = "Correct zookeeper.username or zookeeper.password."
    else:
        remedy = "The servers require SASL: set zookeeper.sasl_mechanism."
    return DeniedError(f"ZooKeeper at {settings.hosts} refused {account(settings)}. {remedy}")


def unreachable(
    settings: ZooKeeperSettings,
    timeout_seconds: float,
    error: Exception | None,
    *,
    complaint: str,
    was_interrupted: bool,
    servers: Iterable[tuple[str, int]],
) -> AutostreamError:
    """Return what it means that no session was made in time.

    Args:
        settings: How it was tried.
        timeout_seconds: For how long.
        error: What the first question was answered by; None where it was not asked.
        complaint: What kazoo complained about last.
        was_interrupted: Whether there was a connection in between.
        servers: Addresses of the servers.
    """
    if isinstance(error, REFUSED) or "AUTH_FAILED" in complaint or "SASL" in complaint:
        return _refused(settings)
    if settings.sasl_mechanism and was_interrupted:
        return _refused(settings)  # servers drop the connection of whom they refuse
    remedy = "Check zookeeper.hosts, check that the servers are up, and that no firewall is in between."
    if "CERTIFICATE_VERIFY_FAILED" in complaint:
        remedy = (
            "The servers' certificate is not trusted. Set zookeeper.tls_ca to the certificates that sign it, and "
            "write host names into zookeeper.hosts that are in the certificate."
        )
    elif settings.tls and not settings.tls_certificate:
        remedy += " If the servers require client certificates, set zookeeper.tls_certificate and zookeeper.tls_key."
    elif not settings.tls and ("broken" in complaint or "reset" in complaint):
        found = what_else_answers(servers)
        remedy = found or f"{remedy} If these are ports for TLS, set zookeeper.tls to true."
    said = f" (last: {complaint})" if complaint else ""
    return ServiceError(
        f"Could not reach ZooKeeper at {settings.hosts} within {round(timeout_seconds, 1):g} s{said}. {remedy}"
    )
