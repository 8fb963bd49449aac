"""Who started a run: the account of the operating system, which no variable of the environment changes."""

from __future__ import annotations

import getpass
import importlib.util
import os


def account() -> str:
    """Its name, or its number where it has none."""
    if importlib.util.find_spec("pwd") is None:  # not a POSIX system
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
