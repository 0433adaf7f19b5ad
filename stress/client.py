"""A client that writes down what it does and sees, and can leave in every way there is."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from hashlib import sha1
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from stress.frames import BINARY, CLOSE, PONG, TEXT, Arrived, Reader, frame, message
from stress.records import Recorder

__all__ = ["PATIENCE", "Client"]

PATIENCE = 15.0  # seconds for anything that has to come; a machine that is busy with other things included
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NO_STATUS = 1005


class Client(asyncio.Protocol):
    """One connection, or the attempt.

    Attributes:
        small: its receive buffer is, so that it is soon full.
        status: of the answer to the handshake; 0 before there is one.
        got: how many messages came, by their form.
        last: the payload of its last reply.
        code: of the server's close frame; 0 before there is one.
        lost: the socket is gone.
    """

    def __init__(self, recorder: Recorder, name: str, path: str = "stress") -> None:
        self.name = name
        self.path = path
        self.small = False
        self.status = 0
        self.got: Counter[str] = Counter()
        self.last = b""
        self.code = 0
        self.lost = False
        self._recorder = recorder
        self._reader = Reader()
        self._head = b""
        self._seq = 0
        self._eof = self._closing = False
        self._changed = asyncio.Event()
        self._key = base64.b64encode(os.urandom(16))
        self._transport = cast("asyncio.Transport", None)

    def note(self, kind: str, **fields: Any) -> None:
        """Write down what it does or sees."""
        self._recorder.note(f"client-{kind}", client=self.name, **fields)

    # Connecting.

    async def connect(self, port: int, **query: str) -> bool:
        """Whether the socket is there; the handshake is on its way."""
        self.note("connecting")
        self._socket = sock = socket.socket()
        sock.setblocking(False)
        if self.small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.create_connection(lambda: self, sock=sock)
        except OSError:
            sock.close()
            self.connection_lost(None)
            return False
        head = (
            f"GET /{self.path}?{urlencode({'client': self.name} | query)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        )
        self.write(head.encode() + b"Sec-WebSocket-Key: %b\r\n\r\n" % self._key)
        return True

    async def open(self, port: int, **query: str) -> bool:
        """Connect; whether the answer was a 101."""
        if not await self.connect(port, **query):
            return False
        await self.until(lambda: self.status > 0 or self.lost)
        return self.status == 101

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Wait for it, so long at most; whether it is so."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    async def gets(self, count: int, form: str = "reply") -> bool:
        """Whether so many messages of a form have come in time."""
        return await self.until(lambda: self.got[form] >= count or self.lost) and self.got[form] >= count

    # Sending.

    def write(self, data: bytes) -> None:
        """Put bytes on the wire."""
        if not self.lost and not self._transport.is_closing():
            self._transport.write(data)

    def waiting(self) -> int:
        """How many bytes the server has not taken."""
        return 0 if self.lost else self._transport.get_write_buffer_size()

    def frames(self, action: str = "", *, binary: bytes | None = None, pad: str = "", **asked: Any) -> bytes:
        """The next message, as it is on the wire; it is noted as sent."""
        self._seq += 1
        head = {"client": self.name, "seq": self._seq, "action": action, "pad": pad} | asked
        data = msgspec.json.encode(head)
        payload = data if binary is None else data + b"\n" + binary
        crc, is_binary = zlib.crc32(payload), binary is not None
        self.note("sent", seq=self._seq, size=len(payload), crc=crc, binary=is_binary)
        return message(payload if is_binary else payload.decode())

    def send(self, action: str = "", **about: Any) -> None:
        """Send a message."""
        self.write(self.frames(action, **about))

    async def ask(self, action: str = "", **about: Any) -> bool:
        """Send a message; whether its reply came."""
        before = self.got["reply"]
        self.send(action, **about)
        return await self.gets(before + 1)

    # Leaving.

    async def close(self, code: int = _NO_STATUS, reason: str = "") -> bool:
        """Close in order; whether the server answered with the same code."""
        self.begin_close(code, reason)
        if not await self.until(lambda: self.lost):
            self.vanish()
        return self.code == code

    def begin_close(self, code: int = _NO_STATUS, reason: str = "") -> None:
        """Send a close frame, unless one was sent."""
        if self._closing or self.lost:
            return
        self._closing = True
        self.note("closing", code=code, reason=reason)
        self.write(frame(CLOSE, b"" if code == _NO_STATUS else struct.pack("!H", code) + reason.encode()))

    def vanish(self, *, reset: bool = True) -> None:
        """Leave without a word: with a reset, or with a FIN."""
        if self.lost:
            return
        self.note("vanished")
        if reset and not self._transport.is_closing():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()

    def read(self, on: bool) -> None:
        """Read on, or not for now."""
        if self.lost or self._transport.is_closing():
            return
        if on:
            self._transport.resume_reading()
        else:
            self.note("paused")
            self._transport.pause_reading()

    def turn_deaf(self) -> None:
        """Read no more."""
        self.note("deaf")
        self.read(False)

    def broke(self, code: int, data: bytes) -> None:
        """Send something illegal, for which the server closes with this code."""
        self.note("broke", code=code)
        self.write(data)

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """The server says something."""
        if self.status != 101:
            data = self._answer(data)
        for arrived in self._reader.feed(data) if data else ():
            self._take(arrived)
        self._changed.set()

    def _answer(self, data: bytes) -> bytes:
        """Read the answer to the handshake; returns what stands behind it."""
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end or self.status:
            return b""
        self.status = int(head.split(b" ", 2)[1])
        if self.status != 101:
            self.note("refused", status=self.status)
            return b""
        self.note("open")
        lines = [line.partition(b":") for line in head.split(b"\r\n")]
        accept = base64.b64encode(sha1(self._key + _GUID, usedforsecurity=False).digest())
        if (b"sec-websocket-accept", accept) not in [(name.lower(), value.strip()) for name, _, value in lines]:
            self._take(Arrived(None, head))
        return rest

    def _take(self, arrived: Arrived) -> None:
        if arrived.opcode in {TEXT, BINARY}:
            self._message(arrived)
        elif arrived.opcode == CLOSE:
            self._closed(arrived.payload)
        elif arrived.opcode == PONG:
            self.got["pong"] += 1
        else:  # a server's ping is none of AWS's, and the rest is wrong
            self.got["unknown"] += 1
            self.note("received", form="unknown", reason=repr(arrived.payload[:200]))

    def _message(self, arrived: Arrived) -> None:
        payload = arrived.payload
        about = _about(payload)
        if about["form"] not in {"send", "broadcast"}:
            self.last = payload
        self.got[about["form"]] += 1
        body = {"size": len(payload), "crc": zlib.crc32(payload), "binary": arrived.opcode == BINARY}
        self.note("received", frame=arrived.frame, **body, **about)

    def _closed(self, payload: bytes) -> None:
        self.code = int.from_bytes(payload[:2], "big") or _NO_STATUS
        self.note("close-received", code=self.code, reason=payload[2:].decode())
        if not self._closing:
            self._closing = True
            self.write(frame(CLOSE, payload))

    def eof_received(self) -> bool:
        """The server's FIN."""
        self._eof = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.note("closed", clean=self._eof and exc is None)
        self.lost = True
        self._changed.set()


def _about(payload: bytes) -> dict[str, Any]:
    """Which message it is, and to whom it was made."""
    try:
        head = msgspec.json.decode(payload.partition(b"\n")[0])
    except (msgspec.DecodeError, UnicodeDecodeError):
        head = None
    match head:
        case {"form": "send", "message": number, "owner": owner}:
            return {"form": "send", "message": number, "owner": owner}
        case {"form": "broadcast", "message": number}:
            return {"form": "broadcast", "message": number}
        case {"client": owner, "seq": seq}:
            return {"form": "reply", "seq": seq, "owner": owner}
        case {"message": "Internal server error", "connectionId": owner}:
            return {"form": "error", "owner": owner}
        case {"message": "Endpoint request timed out", "connectionId": owner}:
            return {"form": "timeout", "owner": owner}
    return {"form": "unknown", "reason": repr(payload[:200])}
