"""A lock that one process has, and that its death releases."""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["ProcessLock"]

_held: set[Path] = set()  # of this process: POSIX locks keep out other processes only


class ProcessLock:
    """The lock of a file, which is made if it is not there, readable by this user only.

    On a platform without POSIX locks it keeps out this process only.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key: Path | None = None
        self._descriptor = -1

    def take(self) -> bool:
        """Whether it was free and is ours now.

        Raises:
            OSError: the file cannot be had.
        """
        key = self._file.resolve()
        if key in _held:
            return False
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            free = _lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if not free:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._key = key
        _held.add(key)
        return True

    def release(self) -> None:
        """Let go of it, if it was taken."""
        if self._key is not None:
            os.close(self._descriptor)
            _held.discard(self._key)
            self._key = None


def _lock(descriptor: int) -> bool:
    if os.name != "posix":
        return True
    import fcntl

    try:
        # Not flock: its locks live on in processes that a handler forked, though the node was killed.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True
