"""What a metastore's answer to a change says of the change: not done for now, never to be done, or open. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from hive_metastore.ttypes import (
    AlreadyExistsException,
    InvalidObjectException,
    InvalidOperationException,
    MetaException,
    NoSuchObjectException,
)

from autostream.hadoop.metastore import MODIFIED

# Of authorisation by the storage's permissions, Ranger, Sentry, and impersonation.
_DENIAL: Final = re.compile(
    r"AccessControl|Permission denied|not allowed to|No privilege|not authori[sz]ed|does ?n[o']t have .*privilege", re.I
)
_GONE: Final = re.compile(r"does ?n[o']t exist|not exist|not found", re.I)
# A MetaException may also come after the change, from a listener say. These are raised by checks before it.
_CHECKS: Final = re.compile(
    r"incompatible|type expected at|IllegalArgument|Invalid (column|type|table)|cannot be changed|SerDeException"
    r"|too long",
    re.I,
)


class MetastoreAnswer(StrEnum):
    """What an answer says."""

    OVERTAKEN = "overtaken"
    FORBIDDEN = "forbidden"
    REJECTED = "rejected"
    OPEN = "open"


def answer_of(error: Exception) -> MetastoreAnswer:
    """Say what an error of a metastore says of the change that was asked for.

    What was not done for now, as others were faster, may be done upon what is there now. What this account may not do,
    or what the metastore's checks refuse, stays refused. Anything else may come after the change was made.
    """
    message = str(getattr(error, "message", None) or error)
    declared = isinstance(
        error, (AlreadyExistsException, InvalidObjectException, InvalidOperationException, NoSuchObjectException)
    )
    if not declared and not isinstance(error, MetaException):
        return MetastoreAnswer.OPEN
    if MODIFIED in message or isinstance(error, AlreadyExistsException):
        return MetastoreAnswer.OVERTAKEN
    if _DENIAL.search(message):
        return MetastoreAnswer.FORBIDDEN
    if declared and _GONE.search(message):  # of a table that was dropped meanwhile; the next attempt sees it
        return MetastoreAnswer.OVERTAKEN
    return MetastoreAnswer.REJECTED if declared or _CHECKS.search(message) else MetastoreAnswer.OPEN
