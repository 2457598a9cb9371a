"""Files that hold secrets: one that others can read, or that somebody else owns, is refused."""

import os
import stat
from pathlib import Path

from forestall.domain.errors import InputError


def private(path: Path) -> Path:
    """Give a file's path back where nobody but root and this account can read or own it.

    Raises:
        InputError: it is not there, or is no such file.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; it holds a secret") from error
    if found.st_mode & 0o077 or not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.geteuid()}:
        raise InputError(
            f"{path}: others can read or own this secret: chmod 600 {path}, and let root or this account own it"
        )
    return path


def password_in(path: Path) -> str:
    """Read the password that is all a private file holds.

    Raises:
        InputError: it cannot be read, or not by us alone.
    """
    try:
        return private(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; it holds a secret") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a password in UTF-8") from error
