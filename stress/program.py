"""The program under stress. Its handlers write down what they do; see `stress.records`.

    trunkline run stress.program

with `STRESS_RECORDS` the file to write to, and `STRESS_NODE` what this life of the process is called. A client names
itself in its URL: `/stress?client=NAME`. A message begins with a line of JSON, whose `action` is its route.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import os
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from stress.records import Recorder
from trunkline import Context, Limits, collection, lifespan, websocket
from trunkline.errors import SendError

NODE = os.environ["STRESS_NODE"]
GONE = 500  # how many connections that are gone can still be sent to

recorder = Recorder(Path(os.environ["STRESS_RECORDS"]), NODE, durable=True)
note = recorder.note
numbers = itertools.count(1)
known: dict[str, str] = {}  # connection ids by their clients' names; the oldest of those that are gone are forgotten
gone: list[str] = []
stale: Iterator[str] = iter(())  # connections of the last life, if it was killed, again and again

members = collection("members").allow("reading", "writing", "deleting")
stress = websocket("stress", binary=True).allow("closing")
loose = websocket("loose", ordered=False).allow("closing")
hasty = websocket("hasty", limits=Limits(handler_seconds=10))
stats = websocket("stats")


class OnPurposeError(Exception):
    """What handlers raise."""


def body_of(data: str | bytes) -> dict[str, Any]:
    """What stands around a message in records."""
    payload = data.encode() if isinstance(data, str) else data
    return {"size": len(payload), "crc": zlib.crc32(payload), "binary": isinstance(data, bytes)}


def request(ctx: Context) -> dict[str, Any]:
    """The JSON that a message begins with."""
    line, _, _ = ctx.req.bytes().partition(b"\n")
    found: dict[str, Any] = msgspec.json.decode(line)
    return found


def connected_at(ctx: Context) -> int:
    """As the event says it."""
    at: int = ctx.req.event["requestContext"]["connectedAt"]
    return at


# Sending.


async def send(connection: str, padding: int) -> bool:
    """Send a message that names its receiver; returns whether to go on."""
    message = f"{NODE}-{next(numbers)}"
    data = msgspec.json.encode({"form": "send", "message": message, "owner": connection, "pad": "x" * padding}).decode()
    note("send-begin", connection=connection, message=message, **body_of(data))
    try:
        accepted = await stress.send(connection, data)
    except SendError as error:
        note("send-error", connection=connection, message=message, error=type(error).__name__)
        return True
    note("send-true" if accepted else "send-false", connection=connection, message=message)
    return accepted


async def broadcast(room: str, padding: int) -> int:
    """Send a message to everybody in a room; returns how many took it."""
    message = f"{NODE}-{next(numbers)}"
    data = msgspec.json.encode({"form": "broadcast", "message": message, "pad": "x" * padding}).decode()
    found = [document.id async for document in members.query().where("room", "==", room).stream()]
    note("broadcast-begin", message=message, targets=found, **body_of(data))
    result = await stress.broadcast(data, to=found)
    failed = {name: type(error).__name__ for name, error in result.failed.items()}
    note("broadcast-end", message=message, gone=list(result.gone), failed=failed)
    return result.sent


async def close(connection: str, code: int, reason: str) -> None:
    """Close a connection."""
    note("close-begin", connection=connection, code=code, reason=reason)
    closed = await stress.close(connection, code, reason)
    note("close-true" if closed else "close-false", connection=connection, code=code, reason=reason)


# The life of a connection.


@stress.on("connect")
@loose.on("connect")
@hasty.on("connect")
async def connect(ctx: Context) -> None:
    """Accept, refuse or fail as the query says; in between something may be sent to whoever is not connected yet."""
    query, connection, accepted = ctx.req.query, ctx.req.connection_id, False
    ordered = ctx.req.event["requestContext"]["stage"] != "loose"
    at = connected_at(ctx)
    note("connect-begin", connection=connection, client=query["client"], ordered=ordered, connected_at=at)
    try:
        await asyncio.sleep(float(query.get("seconds", "0")))
        if "early" in query:
            await send(connection, 0)
        if "fail" in query:
            raise OnPurposeError
        if "refuse" in query:
            ctx.res.reject(403)
            return
        await members.doc(connection).set({"room": query.get("room", ""), "client": query["client"]})
        known[query["client"]] = connection
        accepted = True
    finally:
        note("connect-end", connection=connection, accepted=accepted)


@stress.on("disconnect")
@loose.on("disconnect")
@hasty.on("disconnect")
async def disconnect(ctx: Context) -> None:
    """Forget it."""
    connection, at = ctx.req.connection_id, connected_at(ctx)
    code, reason = ctx.req.close_code, ctx.req.close_reason
    note("disconnect-begin", connection=connection, code=code, reason=reason, connected_at=at)
    try:
        document = await members.doc(connection).get()
        await members.doc(connection).delete()
        if isinstance(document, dict):
            forget(str(document["client"]))
    finally:
        note("disconnect-end", connection=connection)


def forget(client: str) -> None:
    """Not at once: what is sent to it meanwhile must be False."""
    gone.append(client)
    if len(gone) > GONE:
        known.pop(gone.pop(0), None)


# Messages.


async def act(ctx: Context, asked: dict[str, Any]) -> str | bytes | None:
    """Do what a message asks for; returns the reply."""
    match asked.get("action"):
        case "slow":
            await asyncio.sleep(asked["seconds"])
        case "raise":
            raise OnPurposeError
        case "send":
            for client in asked["to"]:
                if target := known.get(client) or next(stale, None):
                    await send(target, asked.get("padding", 0))
        case "flood":
            for _ in range(asked["times"]):
                if not await send(known[asked["to"]], asked["padding"]):
                    break
                await asyncio.sleep(0.01)
        case "broadcast":
            await broadcast(asked["room"], asked.get("padding", 0))
        case "close":
            target = known[asked["to"]]
            await send(target, 0)
            await close(target, asked["code"], "closed by a handler")
            await send(target, 0)
        case "who":
            known_by = {"client": asked["client"], "seq": asked["seq"], "connection": ctx.req.connection_id}
            return msgspec.json.encode(known_by).decode()
    return ctx.req.data


@stress.on("message")
@loose.on("message")
@hasty.on("message")
async def message(ctx: Context) -> str | bytes | None:
    """Handle a message as it asks for."""
    connection, asked = ctx.req.connection_id, request(ctx)
    seq, outcome = asked.get("seq"), "cancelled"
    note("message-begin", connection=connection, seq=seq, connected_at=connected_at(ctx), **body_of(ctx.req.data))
    reply: str | bytes | None = None
    try:
        reply = await act(ctx, asked)
    except OnPurposeError:
        outcome = "raised"
        raise
    else:
        outcome = "returned"
        return reply
    finally:
        about = {} if reply is None else body_of(reply)
        note("message-end", connection=connection, seq=seq, outcome=outcome, **about)


# What must not grow.


@stats.on("message")
async def tell(ctx: Context) -> dict[str, Any]:
    """What this process has of everything."""
    let_go()
    documents = [document.id async for document in members.query().stream()]
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "documents": documents,
        "blocks": sys.getallocatedblocks(),
        "resident": resident(),
    }


def let_go() -> None:
    """What is free is not held: neither by cycles of garbage, nor by the allocator for later."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def resident() -> int:
    """Bytes of memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@lifespan
async def life() -> AsyncIterator[None]:
    """What the last life has left is still there before the door opens."""
    global stale  # noqa: PLW0603
    left = [document.id async for document in members.query().stream()]
    stale = itertools.cycle(left)
    yield
    recorder.close()
