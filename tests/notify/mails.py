"""A mail server on loopback, which keeps what it takes."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

USER, PASSWORD = "watchman", "mail-hunter-77"


@dataclass
class Mails:
    """What arrived.

    Attributes:
        taken: The messages.
        refuse: What it answers instead of taking one, where it is not empty.
        port: Where it listens.
    """

    taken: list[EmailMessage] = field(default_factory=list)
    refuse: str = ""
    port: int = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.taken.append(message)
        return "250 taken"

    def url(self, password: str = PASSWORD) -> str:
        """Return the target of an address."""
        return (
            f"mailto://{USER}:{password}@127.0.0.1:{self.port}?mode=insecure&smtp=127.0.0.1"
            "&from=autostream@example.org&to=oncall@example.org"
        )

    def text(self, subtype: str = "plain") -> str:
        """Return a part of the last message."""
        part = self.taken[-1].get_body((subtype,))
        assert part is not None
        return str(part.get_content())


@contextmanager
def mails() -> Iterator[Mails]:
    """Run a mail server that asks for a login."""
    kept = Mails()

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, login: Any) -> AuthResult:
        known = isinstance(login, LoginPassword) and (login.login, login.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=known, handled=False)

    loop = asyncio.new_event_loop()

    def serve() -> SMTP:
        return SMTP(
            kept,
            hostname="mail.example.org",
            authenticator=authenticate,
            auth_required=True,
            loop=loop,
            auth_require_tls=False,
        )

    server = loop.run_until_complete(loop.create_server(serve, "127.0.0.1", 0))
    kept.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()
