"""Senders outside the node: `POST /{stage}/@connections/{id}`, and DELETE."""

from __future__ import annotations

import asyncio
import itertools
import zlib
from random import Random
from typing import Any
from urllib.parse import quote

import msgspec

from stress.client import PATIENCE, Client
from stress.field import Field, together
from stress.scenarios import leave

__all__ = ["Poster", "learn", "post_again_and_again", "posts"]

_numbers = itertools.count(1)
_OUTCOMES = {200: "send-true", 410: "send-false"}


class Poster:
    """One HTTP connection, kept alive and made anew when it is gone; it writes down what it sends."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, connection: str, padding: int = 0) -> int:
        """Send a message that names its receiver; the status, 0 if there is none."""
        message, note = f"post-{next(_numbers)}", self._field.recorder.note
        about = {"form": "send", "message": message, "owner": connection, "pad": "x" * padding}
        body = msgspec.json.encode(about)
        note("send-begin", connection=connection, message=message, size=len(body), crc=zlib.crc32(body))
        status = await self.call("POST", connection, body)
        if status:
            error = "SlowConsumer" if status == 429 else str(status)
            more: dict[str, Any] = {} if status in _OUTCOMES else {"error": error}
            note(_OUTCOMES.get(status, "send-error"), connection=connection, message=message, **more)
        return status

    async def delete(self, connection: str) -> int:
        """Close a connection; the status."""
        about: dict[str, Any] = {"connection": connection, "code": 1000, "reason": "Connection Closed Normally"}
        self._field.recorder.note("close-begin", **about)
        status = await self.call("DELETE", connection)
        self._field.recorder.note("close-true" if status == 204 else "close-false", **about)
        return status

    async def call(self, method: str, connection: str, body: bytes = b"") -> int:
        """The status of a call; 0 if the node went away."""
        head = (
            f"{method} /stress/@connections/{quote(connection)} HTTP/1.1\r\nHost: 127.0.0.1:{self._field.port}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await self._connected()
                writer.write(head.encode() + body)
                return await _status(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.leave()
            return 0

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[1].is_closing():
            self._streams = await asyncio.open_connection("127.0.0.1", self._field.port)
        return self._streams

    def leave(self) -> None:
        """The end of its connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    await reader.readexactly(int(fields.get("content-length", "0")))
    return int(head.split(" ", 2)[1])


async def _id_of(client: Client) -> str:
    """Its connection's id, by its own question; empty if there is no answer."""
    if not await client.ask("who"):
        return ""
    found: str = msgspec.json.decode(client.last)["connection"]
    return found


async def posts(field: Field) -> None:
    """To clients that stay, all of which must arrive, and to clients that come and go; then those are closed."""
    tally, steps = field.tally("posts"), field.times(100)
    clients = [field.client(tally)[0] for _ in range(10)]
    passing: list[str] = []
    over = asyncio.Event()

    async def pass_by() -> None:
        while not over.is_set():
            client, random = field.client(tally)
            if await client.open(field.port):
                passing.append(await _id_of(client))
            await asyncio.sleep(random.uniform(0, 0.3))
            await leave(client, random)

    async def send(poster: Poster, random: Random) -> None:
        for _ in range(steps):
            await field.spread(random, steps)
            status = await poster.post(random.choice(ids), random.choice([0, 100, 40_000]))
            tally.expect(f"POST answered with 200, and not {status}", 1, status == 200)
            if passing:
                status = await poster.post(random.choice(passing[-3:]))
                tally.expect(f"POST answered with 200 or 410, and not {status}", 1, status in _OUTCOMES)

    await together(client.open(field.port) for client in clients)
    ids = [await _id_of(client) for client in clients]
    passers = [asyncio.create_task(pass_by()) for _ in range(5)]
    posters = [Poster(field) for _ in clients]
    await together(send(poster, field.random(f"poster {next(_numbers)}")) for poster in posters)
    over.set()
    await asyncio.gather(*passers)
    for poster, client, connection in zip(posters, clients, ids, strict=True):
        calls = [poster.delete(connection), poster.post(connection), poster.delete(connection)]
        statuses = [await call for call in calls] + [await poster.call("POST", "no-such-id")]
        tally.expect(f"204, 410, 410, 400, and not {statuses}", 1, statuses == [204, 410, 410, 400])
        await client.until(lambda client=client: client.lost)  # type: ignore[misc]
        tally.expect("closes", 1, client.code == 1000)
        poster.leave()
    tally.expect("sends", steps * len(clients), sum(client.got["send"] for client in clients))


async def post_again_and_again(field: Field, ids: list[str], over: asyncio.Event) -> None:
    """To connections of this life of the node and of earlier ones, until it is over."""
    poster = Poster(field)
    random = field.random(f"poster {next(_numbers)}")
    while not over.is_set():
        if not ids or not await poster.post(random.choice(ids[-60:]), random.choice([0, 1000])):
            await asyncio.sleep(0.05)
        await asyncio.sleep(random.uniform(0, 0.02))
    poster.leave()


async def learn(client: Client, ids: list[str]) -> None:
    """Add its id to those that are sent to."""
    if connection := await _id_of(client):
        ids.append(connection)
