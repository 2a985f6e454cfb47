"""Robots of DingTalk: signed requests, and what their answers mean.

Apprise has a plugin for them, which is not used: it takes each answer of status 200 for success, while DingTalk answers
so whatever happens and says by `errcode` what did; it encodes the signature twice; and it knows one address only, where
companies have gateways.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlencode

from autostream import times
from autostream.config.sections.endpoint import Endpoint
from autostream.errors import AutostreamError, ConfigurationError
from autostream.http.client import JsonClient, Limits
from autostream.notify.sending import NotDeliveredError
from autostream.notify.wording import Letter, escaped

SCHEME: Final = "dingtalk"
TOO_MANY: Final[Mapping[int, str]] = {
    90030: "the webhook's limit",
    130101: "more than 20 messages in a minute",
    410100: "more than 20 messages in a minute",
    660026: "the robot's limit",
}
"""Codes of answers that say that a robot has sent too many messages."""
PAUSE_SECONDS: Final = 600.0
"""For how long a robot that has sent too many is refused."""

_PATH: Final = "/robot/send"
_URL: Final = re.compile(
    r"dingtalk://(?:(?P<secret>[^@/?]+)@)?(?P<token>[^@/?]+)(?P<phones>/[^?]*)?(?:\?(?P<query>.*))?", re.I
)
_REMEDIES: Final[Mapping[int, str]] = {
    300001: "The token is not that of a robot: copy it again from the robot's webhook.",
    310000: "Compare the robot's security settings: the secret, its keywords (each message contains 'autostream'), the "
    "addresses that it takes messages from, and this machine's clock.",
    400101: "The token is not that of a robot: copy it again from the robot's webhook.",
    400102: "The robot was stopped in its group: start it, or remove the target.",
}


def signature(secret: str, timestamp_ms: int) -> str:
    """Return what proves that a request comes from someone who has the secret, as DingTalk documents it.

    It is HMAC-SHA256 of the time and the secret, a line each, by the secret, in base64.
    """
    signed = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode("ascii")


@dataclass(frozen=True)
class Robot:
    """A robot in a group of DingTalk.

    Attributes:
        token: Which robot.
        secret: What signs its messages; empty: they are not signed.
        phones: The numbers of people who are mentioned in each message.
    """

    token: str = field(repr=False)
    secret: str = field(default="", repr=False)
    phones: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str) -> Robot:
        """Return the robot of a URL: dingtalk://SECRET@TOKEN/PHONE/PHONE, as Apprise has it.

        Raises:
            ConfigurationError: It is none. It is not shown, for it is a secret.
        """
        match = _URL.fullmatch(url)
        if not match:
            raise ConfigurationError(
                "A URL of DingTalk is not understood. Write dingtalk://SECRET@TOKEN/ with the secret of the robot's "
                "signature (SEC...) and the access_token of its webhook."
            )
        query = {key: values[-1] for key, values in parse_qs(match["query"] or "").items()}
        if unknown := query.keys() - {"secret", "token", "to"}:
            raise ConfigurationError(f"A URL of DingTalk has the unknown parameter {min(unknown)!r}. Remove it.")
        phones = [*(match["phones"] or "").split("/"), *query.get("to", "").split(",")]
        return cls(
            token=query.get("token") or unquote(match["token"]),
            secret=query.get("secret") or unquote(match["secret"] or ""),
            phones=tuple(found for phone in phones if (found := unquote(phone).strip())),
        )


class DingTalkSender:
    """Sends messages to the group of a robot.

    Args:
        robot: The robot.
        address: Where DingTalk is: https://oapi.dingtalk.com, or a gateway.
        limits: How long to wait.
    """

    def __init__(self, robot: Robot, address: str, *, limits: Limits | None = None) -> None:
        """Prepare; nothing is connected before the first message."""
        self._robot = robot
        self._client = JsonClient("DingTalk", Endpoint(url=(address,)), limits=limits or Limits(tries=1))

    def send(self, letter: Letter) -> None:
        """Send a message.

        Raises:
            NotDeliveredError: DingTalk cannot be reached, or does not take it.
        """
        parameters = {"access_token": self._robot.token}
        if self._robot.secret:
            now_ms = times.now_ms()
            parameters |= {"timestamp": str(now_ms), "sign": signature(self._robot.secret, now_ms)}
        path = f"{_PATH}?{urlencode(parameters)}"
        try:
            answer = self._client.send("POST", path, _document(letter, self._robot.phones))
        except AutostreamError as error:
            raise NotDeliveredError(_in_our_words(str(error))) from None  # the cause shows the parameters
        _judge(answer)


def _document(letter: Letter, phones: tuple[str, ...]) -> dict[str, Any]:
    mentioned = " ".join(f"@{phone}" for phone in phones)
    at = {"atMobiles": list(phones), "isAtAll": False}
    if letter.format == "text":
        content = "\n\n".join(filter(None, (letter.title, letter.body, mentioned)))
        return {"msgtype": "text", "text": {"content": content}, "at": at}
    text = "\n\n".join(filter(None, (f"#### {escaped(letter.title)}", letter.body, mentioned)))
    return {"msgtype": "markdown", "markdown": {"title": letter.title, "text": text}, "at": at}


def _judge(answer: Any) -> None:
    """Raise what an answer means, where it does not say that the message was taken."""
    code = answer.get("errcode") if isinstance(answer, dict) else None
    if code == 0:
        return
    if not isinstance(code, int):
        raise NotDeliveredError(
            "DingTalk answers by JSON without an errcode, so the message may not have been sent. Check that "
            "`notify.dingtalk_url` is the address of DingTalk or of a gateway to it."
        )
    said = f"DingTalk does not take the message: errcode {code}, {answer.get('errmsg') or 'no message'}."
    if code in TOO_MANY:
        raise NotDeliveredError(f"{said} Lower `messages_per_minute` of the target.", pause_seconds=PAUSE_SECONDS)
    raise NotDeliveredError(f"{said} {_REMEDIES.get(code, '')}".strip())


def _in_our_words(text: str) -> str:
    """Return what the client says without the parameters of the request, and with the setting that there is."""
    text = re.sub(rf"{_PATH}\?\S*?(?=[:\s]|$)", _PATH, text)
    return text.replace("`url` of DingTalk", "`notify.dingtalk_url`")
