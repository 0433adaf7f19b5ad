"""Chat rooms: people join a room by name, talk to whoever is in it, and see who comes and goes.

A client sends JSON; its "action" is the route: join {room, name}, say {text}, leave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeAlias

import msgspec

from trunkline import Context, Document, collection, websocket

Message: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[Context], Coroutine[Any, Any, Message | None]]

members = collection("members").allow("reading", "writing", "deleting")
socket = websocket("rooms")

ROOM = re.compile(r"[A-Za-z0-9_-]{1,32}")
NAME_LENGTH = 32
TEXT_LENGTH = 2000


class RefusedError(Exception):
    """What a client asked for cannot be; the text is for the person at the other end."""


def replying(handler: Handler) -> Handler:
    """Turn a refusal into an error reply, so that no handler has to."""

    @wraps(handler)
    async def wrapper(ctx: Context) -> Message | None:
        try:
            return await handler(ctx)
        except RefusedError as refusal:
            return {"type": "error", "message": str(refusal)}

    return wrapper


@socket.on("message", route="join")
@replying
async def join(ctx: Context) -> Message:
    body = body_of(ctx)
    name, room = name_of(body), room_of(body)
    await go(ctx)
    await members.doc(ctx.req.connection_id).set({"room": room, "name": name, "joined": now()})
    everyone = await members_of(room)
    names = names_of(everyone)
    await tell(everyone, {"type": "joined", "name": name, "members": names}, exclude=ctx.req.connection_id)
    return {"type": "welcome", "room": room, "name": name, "members": names}


@socket.on("message", route="say")
@replying
async def say(ctx: Context) -> None:
    text = text_of(body_of(ctx))
    member = await members.doc(ctx.req.connection_id).get()
    if member is None:
        raise RefusedError("Join a room first.")
    said = {"type": "said", "name": member["name"], "text": text, "at": now()}
    # The sender is told too: everyone in a room then sees its messages in one order.
    await tell(await members_of(member["room"]), said)


@socket.on("message", route="leave")
@replying
async def leave(ctx: Context) -> Message:
    left = await go(ctx)
    if left is None:
        raise RefusedError("You are in no room.")
    return left


@socket.on("disconnect")
async def disconnect(ctx: Context) -> None:
    await go(ctx)


@socket.on("message")
async def anything_else(ctx: Context) -> Message:
    return {"type": "error", "message": 'Send JSON with an "action": "join", "say" or "leave".'}


async def go(ctx: Context) -> Message | None:
    """Take the connection out of its room and tell those who stay; None if it was in none."""
    place = members.doc(ctx.req.connection_id)
    member = await place.get()
    if member is None:
        return None
    await place.delete()
    others = await members_of(member["room"])
    left = {"type": "left", "name": member["name"], "members": names_of(others)}
    await tell(others, left)
    return left


async def members_of(room: str) -> list[Document]:
    """Who is in a room; the ids of the documents are connection ids."""
    return [member async for member in members.query().where("room", "==", room).stream()]


def names_of(everyone: list[Document]) -> list[str]:
    """Their names, the first to come first."""
    in_order = sorted(everyone, key=lambda member: member.content["joined"])
    return [member.content["name"] for member in in_order]


async def tell(everyone: list[Document], message: Message, exclude: str = "") -> None:
    await socket.broadcast(msgspec.json.encode(message).decode(), to=everyone, exclude=exclude)


def body_of(ctx: Context) -> Message:
    try:
        body = ctx.req.json()
    except (ValueError, RecursionError):
        raise RefusedError("That is not JSON.") from None
    if not isinstance(body, dict):
        raise RefusedError("Send a JSON object.")
    return body


def name_of(body: Message) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= NAME_LENGTH:
        raise RefusedError(f"A name is 1 to {NAME_LENGTH} characters.")
    return name.strip()


def room_of(body: Message) -> str:
    room = body.get("room")
    if not isinstance(room, str) or not ROOM.fullmatch(room):
        raise RefusedError("A room is 1 to 32 letters, digits, - and _.")
    return room


def text_of(body: Message) -> str:
    text = body.get("text")
    if not isinstance(text, str) or not 1 <= len(text) <= TEXT_LENGTH:
        raise RefusedError(f"A message is 1 to {TEXT_LENGTH} characters.")
    return text


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
