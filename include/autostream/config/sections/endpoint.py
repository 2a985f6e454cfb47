"""Where a service is that speaks JSON over HTTP, and how to log in there: keys that several sections have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from autostream.config.sections.base import ListedSection
from autostream.errors import ConfigurationError
from autostream.masking import ESCAPES, learn, mask, secrets_in

_SEPARATOR: Final = re.compile(r"\s*,\s*(?=[a-z]+://)", re.IGNORECASE)  # there may be a comma in a password


def split_urls(value: object) -> object:
    """Let one address be written without a list, and several in one text."""
    return [url for url in _SEPARATOR.split(value.strip().rstrip(",")) if url] if isinstance(value, str) else value


@dataclass(frozen=True)
class Address:
    """An address, apart from the account that is written in it.

    Attributes:
        url: The address without account and without a slash at its end.
        username: The account's name; empty without one.
        password: Its password.
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take an address apart.

        Raises:
            ConfigurationError: It is not the address of a server. Its password is not shown.
        """
        learn(*secrets_in(url))
        try:
            parts = urlsplit(url.strip())
            wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        except ValueError:  # its message and its traceback would show a part of the password
            wrong = True
        if wrong or "@" in parts.path or parts.query or parts.fragment:
            raise ConfigurationError(
                f"{mask(url)!r} is not the address of a server. Write http://HOST:PORT or "
                f"http://USER:PASSWORD@HOST:PORT. {ESCAPES}"
            )
        shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/")))
        return cls(shown, unquote(parts.username or ""), unquote(parts.password or ""))


class Endpoint(ListedSection):
    """A service that is asked over HTTP: its addresses, a login, and TLS."""

    url: Annotated[tuple[str, ...], BeforeValidator(split_urls)] = Field(
        min_length=1,
        examples=["http://jobmanager:8081"],
        description=(
            "Address of the server, such as http://jobmanager:8081, or a list of addresses. If a server does not "
            "answer, the next one is asked."
        ),
    )
    username: str = Field(default="", description="Account for a login with name and password (HTTP Basic).")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    token: SecretStr = Field(
        default=SecretStr(""), description="Token for a login with a bearer token, instead of an account."
    )
    tls_ca: str = Field(
        default="",
        description=(
            "PEM file with the certificates that sign the server's certificate. Empty: the certificates of the system."
        ),
    )
    tls_certificate: str = Field(
        default="", description="PEM file with the client's certificate, for mutual TLS. Empty: no client certificate."
    )
    tls_key: str = Field(
        default="", description=("PEM file with the client's key. Empty: the key is in the file of the certificate.")
    )
    tls_key_password: SecretStr = Field(default=SecretStr(""), description="Password of the key.")

    @field_validator("url")
    @classmethod
    def _is_address(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            try:
                Address.parse(url)
            except ConfigurationError as error:
                raise ValueError(str(error).rstrip(".")) from None
        return urls

    @model_validator(mode="after")
    def _has_one_login(self) -> Endpoint:
        if not self.token.get_secret_value().strip().isascii():
            raise ValueError("has a token with characters that are not allowed in HTTP: copy the token again")
        if self.token.get_secret_value() and self.username:
            raise ValueError("has a username and a token: remove one of them")
        if self.password.get_secret_value() and not self.username:
            raise ValueError("has a password without a username: add it")
        if self.tls_key and not self.tls_certificate:
            raise ValueError("has a tls_key without a tls_certificate: add it")
        return self

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses, without the accounts that are written in them."""
        return tuple(map(Address.parse, self.url))
