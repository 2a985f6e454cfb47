"""The account that this process runs as, for records of who did what."""

from __future__ import annotations

import getpass
import os
import socket


def user_name() -> str:
    """Return the name of the account of the operating system; its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        return str(os.getuid())


def this_account() -> str:
    """Return who this process acts for: `alice@host-7`."""
    return f"{user_name()}@{socket.gethostname()}"
