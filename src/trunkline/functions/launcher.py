"""Becomes a worker: `python -I launcher.py COMMAND...`. It imports nothing of trunkline.

The worker is killed when the thread that started it ends, however that ends; it opens no more files than a function in
Lambda may, and leaves no core file. Its memory is not limited: what can be limited is address space, of which Node
reserves gigabytes that it never touches.
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
    os.closerange(3, most if 0 < most < _MOST_FILES else _MOST_FILES)  # uvloop closes none of them
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - what we were told to run


main()
