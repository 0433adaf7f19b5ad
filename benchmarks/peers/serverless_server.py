"""serverless-offline, which serves the functions of `programs/template` as its own command line does.

`python serverless_server.py PORT default|in-process`

`default` is what it does when nothing is said: a thread for each Node function that runs, a process for each Python
function. `in-process` is the fastest that its documentation has: handlers of Node run in its own event loop
(`--useInProcess`), and no invocation has a time limit (`--noTimeout`).
"""

import os
import shutil
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE.parent.parent / ".venv-bench"
COMMAND = ENVIRONMENT / "node" / "node_modules" / "serverless" / "bin" / "serverless.js"
OPTIONS = {"default": [], "in-process": ["--useInProcess", "--noTimeout"]}


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def command(port: str, mode: str) -> list[str]:
    ports = ["--websocketPort", port, "--httpPort", free_port(), "--lambdaPort", free_port()]
    node = shutil.which("node")
    if node is None:
        sys.exit("there is no node on the PATH; on Debian: apt-get install nodejs")
    return [node, str(COMMAND), "offline", "--host", "127.0.0.1", *ports, *OPTIONS[mode]]


if __name__ == "__main__":
    words = command(sys.argv[1], sys.argv[2])
    os.environ["PATH"] = f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}"  # the python3 for its functions
    os.environ |= {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off"}
    os.chdir(HERE.parent / "programs" / "template")
    os.execv(words[0], words)
