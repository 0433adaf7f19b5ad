"""Becomes a worker: `python -I launcher.py PID MEGABYTES COMMAND...`. It imports nothing of trunkline.

The worker is killed when the thread of process PID that started it ends, however that ends; it opens no more files than
a function in Lambda may, and leaves no core file. Its memory is looked at while it works (`workers.py`); the bound here
is for what grows faster than that. It is on what a process may write, not on its addresses, of which Node reserves
gigabytes that it never touches.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_FILES = 1024  # Lambda's quota
_MOST_FILES = 1 << 20


def main() -> None:
    """Set what is inherited, then run the command in place of this process, with no descriptor but the usual three."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(sys.argv[1]):  # it ended before we asked to be told
            sys.exit(1)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_memory(int(sys.argv[2]) * 1024 * 1024)
    os.closerange(3, most if 0 < most < _MOST_FILES else _MOST_FILES)  # uvloop closes none of them
    command = sys.argv[3:]
    try:
        os.execvp(command[0], command)  # noqa: S606 - what we were told to run
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


def _limit_memory(wanted: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    memory = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


main()
