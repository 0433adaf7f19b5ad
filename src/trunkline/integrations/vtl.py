"""Renders mapping templates in a worker: a process of its own, so that none of them can reach or hold up the node."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from trunkline.integrations.base import IntegrationError, Values

__all__ = ["NEEDED", "TEMPLATE_BYTES", "TemplateWorker", "has_airspeed"]

NEEDED = "mapping templates need airspeed; install it with: pip install 'trunkline[aws]'"
"""What is told where it is not installed."""

TEMPLATE_BYTES = 300 * 1024
"""The largest template; quotas: 300 KB."""
_WORKER = Path(__file__).with_name("vtl_worker.py")
_SECONDS = 5.0  # by the clock; of the processor the worker has one
_ANSWER_BYTES = 8 * 1024 * 1024  # a text of 1 MiB, each character of which may be six in JSON
_END_SECONDS = 1.0  # for a process that was killed
_READ_BYTES = 256 * 1024
_LENGTH_BYTES = 4
_LEAST_SECONDS = 0.001  # none would mean not to wait at all
_OUT_OF_TIME = getattr(signal, "SIGPROF", 0)
_WRONG = "the mapping template was not rendered"
_CLOSED = f"{_WRONG}: its worker was closed"
_decode = msgspec.json.Decoder().decode


class TemplateWorker:
    """Renders templates, one at a time, in a process that is started when first needed and replaced when it ends.

    Args:
        seconds: how long a template may take by the clock. Of the processor it has a second.
    """

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1, "mapping-templates")
        self._process: _Process | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the worker; None if there is none."""
        return None if self._process is None else self._process.pid

    async def render(self, template: str, values: Values) -> str:
        """See `Renderer.render`. What the client sent is a value, never a part of the template."""
        payload = _request(template, values)
        if self._is_closed:
            raise IntegrationError(_CLOSED)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._render, payload)

    async def close(self) -> None:
        """End the worker; what is being rendered fails."""
        self._is_closed = True
        if self._process is not None:
            self._process.kill()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.shutdown()
        if self._process is not None:
            self._process.close()
            self._process = None

    # What follows runs in the thread.

    def _render(self, payload: bytes) -> str:
        if self._process is not None and self._process.has_ended:
            self._replace()
        try:
            text, error, is_last = self._started().ask(payload, self._seconds)
        except _Ended as ended:
            self._replace()
            raise IntegrationError(f"{_WRONG}: {ended}") from None
        if is_last:
            self._replace()
        if text is None:
            raise IntegrationError(f"{_WRONG}: {error}")
        return text

    def _started(self) -> _Process:
        if self._is_closed:
            raise IntegrationError(_CLOSED)
        if self._process is None:
            self._process = _Process()
            if self._is_closed:  # meanwhile, when there was nothing to kill yet
                self._process.kill()
        return self._process

    def _replace(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


class _Ended(Exception):  # noqa: N818
    """The worker ended, or was ended; the text says why."""


class _Process:
    """The worker's process, and the socket to it."""

    def __init__(self) -> None:
        folder = _folder_of_airspeed()
        self._socket, theirs = socket.socketpair()
        self._until = 0.0
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - a file of ours
                    [sys.executable, "-I", "-S", str(_WORKER), str(folder)],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.DEVNULL,
                    cwd=os.sep,
                    env={},
                    start_new_session=True,
                )
        except OSError as error:
            self._socket.close()
            raise IntegrationError(f"{_WRONG}: its worker cannot be started: {error}") from None
        self.pid = self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it is no more."""
        return self._process.poll() is not None

    def ask(self, payload: bytes, seconds: float) -> tuple[str | None, str | None, bool]:
        """Text and error of a request, one of which is None, and whether the process ends with it.

        Raises:
            _Ended: it ended, or did not answer in time.
        """
        self._until = time.monotonic() + seconds
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(len(payload).to_bytes(_LENGTH_BYTES) + payload)
            size = int.from_bytes(self._receive(_LENGTH_BYTES))
            if size > _ANSWER_BYTES:
                raise _Ended(f"its worker answered {size:,} bytes")
            text, error, is_last = _decode(self._receive(size))
        except TimeoutError:
            raise _Ended(f"it took longer than {seconds:g} s") from None
        except OSError:
            raise _Ended(self._why()) from None
        return text, error, is_last

    def _receive(self, size: int) -> bytes:
        pieces = []
        while size:
            self._socket.settimeout(max(_LEAST_SECONDS, self._until - time.monotonic()))
            piece = self._socket.recv(min(size, _READ_BYTES))
            if not piece:
                raise _Ended(self._why())
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _why(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        code = self._process.returncode
        if code is None:
            return "its worker hung up"
        if code == -_OUT_OF_TIME:
            return "it took more than a second of the processor"
        return f"its worker ended: {f'exit status {code}' if code >= 0 else signal.strsignal(-code)}"

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def close(self) -> None:
        """End it, and leave nothing of it."""
        self._process.kill()
        self._process.wait()
        self._socket.close()


def _request(template: str, values: Values) -> bytes:
    size = len(template.encode("utf-8", "replace"))
    if size > TEMPLATE_BYTES:
        raise IntegrationError(f"the mapping template has {size:,} bytes; at most are {TEMPLATE_BYTES:,}")
    try:
        return _encode([template, values])
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise IntegrationError(f"{_WRONG}: its values are no plain data: {error}") from None


def has_airspeed() -> bool:
    """Whether what renders templates is installed."""
    return importlib.util.find_spec("airspeed") is not None


def _folder_of_airspeed() -> Path:
    spec = importlib.util.find_spec("airspeed")
    if spec is None or spec.origin is None:
        raise IntegrationError(NEEDED)
    return Path(spec.origin).parents[1]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no plain data")


_encode = msgspec.json.Encoder(enc_hook=_plain).encode
