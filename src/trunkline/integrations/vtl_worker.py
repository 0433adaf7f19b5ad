"""Renders mapping templates in a process of its own: `python -I -S vtl_worker.py FOLDER`, FOLDER has airspeed in it.

A request comes on descriptor 0 and its answer goes to descriptor 1: four bytes of length, then JSON. A request is
`[template, values]`, an answer `[text, error, last]`: text or error is null, and after the last the process ends. So it
does when its input ends, and the system ends it when one template takes more than a second of the processor.

It runs none of trunkline but what renders templates: the package's own `__init__` would load the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.integrations.vtl_template import Templates

__all__ = ["CPU_SECONDS", "MEMORY_BYTES", "answer", "main"]

CPU_SECONDS = 1.0
"""Of the processor, for one template."""
MEMORY_BYTES = 512 * 1024 * 1024
"""Of addresses, for the process; the answer of a backend has 10 MiB, and is several times that when parsed."""
_LENGTH_BYTES = 4


def main() -> None:
    """Answer requests until there are no more."""
    sys.path.append(sys.argv[1])
    package = ModuleType("trunkline")
    package.__path__ = [str(Path(__file__).parents[1])]
    sys.modules["trunkline"] = package
    from trunkline.integrations.vtl_template import Templates

    try:
        templates, is_last = Templates(), False
    except ImportError as error:
        _receive()
        _send(json.dumps([None, str(error), True]).encode())
        return
    _limit()
    while not is_last and (request := _receive()) is not None:
        _alarm(CPU_SECONDS)
        *answered, is_last = answer(templates, request)
        payload = json.dumps([*answered, is_last]).encode()
        _alarm(0)
        _send(payload)


def answer(templates: Templates, request: bytes) -> tuple[str | None, str | None, bool]:
    """Text, error, and whether the process is done for: a want of memory may have left anything behind."""
    from trunkline.integrations.vtl_values import OUTPUT_BYTES, Refused

    try:
        template, values = json.loads(request)
        made = templates.render(template, values).encode("utf-8", "replace")  # as Java writes half a character
    except Refused as refused:
        return None, str(refused), False
    except MemoryError:
        return None, f"it needs more than {MEMORY_BYTES // 1024**2} MiB of memory", True
    if len(made) > OUTPUT_BYTES:
        return None, f"the text is longer than {OUTPUT_BYTES:,} bytes", False
    return made.decode(), None, False


def _limit() -> None:
    """No files, no processes, no traces, and so much memory; what a platform does not have is left out."""
    try:
        import resource
    except ImportError:
        return
    limits = {"AS": MEMORY_BYTES, "CORE": 0, "FSIZE": 0, "NOFILE": 0, "NPROC": 0}
    for name, most in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def _alarm(seconds: float) -> None:
    """Have the system end this process when it has worked so long; 0 for no more."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _receive() -> bytes | None:
    length = _read(_LENGTH_BYTES)
    return None if length is None else _read(int.from_bytes(length))


def _read(size: int) -> bytes | None:
    pieces: list[bytes] = []
    while size:
        piece = os.read(0, min(size, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _send(payload: bytes) -> None:
    left = memoryview(len(payload).to_bytes(_LENGTH_BYTES) + payload)
    while left:
        left = left[os.write(1, left) :]


if __name__ == "__main__":
    main()
