"""The account that runs a command."""

from __future__ import annotations

import getpass
import os
import socket


def this_account() -> str:
    """Return who runs this command, for records of it: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
