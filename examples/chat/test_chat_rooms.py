"""The rooms under test: what every person is told, message by message."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from trunkline import testing

ROOMS = Path(__file__).with_name("chat_rooms.py")


@asynccontextmanager
async def garden(*names):
    """A node with people who are in the room "garden", and have read what that told them."""
    async with testing.node(ROOMS) as node:
        people = [await node.connect("rooms") for _ in names]
        for number, (person, name) in enumerate(zip(people, names, strict=True)):
            await person.send_json({"action": "join", "room": "garden", "name": name})
            for present in people[: number + 1]:
                await present.receive_json()
        yield node, *people


async def test_who_joins_is_welcomed_with_everybody_who_is_there():
    async with garden("Ann") as (node, _):
        ben = await node.connect("rooms")
        await ben.send_json({"action": "join", "room": "garden", "name": "Ben"})
        welcome = {"type": "welcome", "room": "garden", "name": "Ben", "members": ["Ann", "Ben"]}
        assert await ben.receive_json() == welcome


async def test_the_others_are_told_who_joined():
    async with garden("Ann") as (node, ann):
        ben = await node.connect("rooms")
        await ben.send_json({"action": "join", "room": "garden", "name": "Ben"})
        assert await ann.receive_json() == {"type": "joined", "name": "Ben", "members": ["Ann", "Ben"]}


async def test_everybody_in_the_room_gets_what_is_said_the_sender_too():
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ann.send_json({"action": "say", "text": "hello"})
        for person in (ann, ben):
            said = await person.receive_json()
            assert (said["type"], said["name"], said["text"]) == ("said", "Ann", "hello")


async def test_another_room_hears_nothing():
    async with garden("Ann", "Ben") as (node, ann, ben):
        cia = await node.connect("rooms")
        await cia.send_json({"action": "join", "room": "kitchen", "name": "Cia"})
        assert (await cia.receive_json())["members"] == ["Cia"]
        await ann.send_json({"action": "say", "text": "hello"})
        await ben.receive_json()
        await cia.nothing()


async def test_who_joins_another_room_leaves_the_first():
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ben.send_json({"action": "join", "room": "kitchen", "name": "Ben"})
        assert await ann.receive_json() == {"type": "left", "name": "Ben", "members": ["Ann"]}
        assert (await ben.receive_json())["room"] == "kitchen"


async def test_who_leaves_hears_no_more():
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ben.send_json({"action": "leave"})
        assert await ben.receive_json() == {"type": "left", "name": "Ben", "members": ["Ann"]}
        assert await ann.receive_json() == {"type": "left", "name": "Ben", "members": ["Ann"]}
        await ann.send_json({"action": "say", "text": "gone?"})
        await ben.nothing()


@pytest.mark.parametrize("goes", ["close", "vanish"])
async def test_who_closes_or_loses_the_connection_has_left(goes):
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ben.close() if goes == "close" else ben.vanish()
        assert await ann.receive_json() == {"type": "left", "name": "Ben", "members": ["Ann"]}


async def test_a_new_name_is_a_new_join():
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ben.send_json({"action": "join", "room": "garden", "name": "Benjamin"})
        assert (await ann.receive_json())["type"] == "left"
        assert await ann.receive_json() == {"type": "joined", "name": "Benjamin", "members": ["Ann", "Benjamin"]}
        assert (await ben.receive_json())["name"] == "Benjamin"


async def test_two_may_have_the_same_name():
    async with garden("Ann", "Ann") as (_, first, second):
        await second.close()
        assert await first.receive_json() == {"type": "left", "name": "Ann", "members": ["Ann"]}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("hello", 'Send JSON with an "action": "join", "say" or "leave".'),
        ('{"action": "dance"}', 'Send JSON with an "action": "join", "say" or "leave".'),
        ('{"action": "say"}', "A message is 1 to 2000 characters."),
        ('{"action": "say", "text": 7}', "A message is 1 to 2000 characters."),
        ('{"action": "say", "text": ""}', "A message is 1 to 2000 characters."),
        ('{"action": "say", "text": "hello"}', "Join a room first."),
        ('{"action": "leave"}', "You are in no room."),
        ('{"action": "join", "name": "Ann"}', "A room is 1 to 32 letters, digits, - and _."),
        ('{"action": "join", "name": "Ann", "room": "../etc"}', "A room is 1 to 32 letters, digits, - and _."),
        ('{"action": "join", "name": "  ", "room": "garden"}', "A name is 1 to 32 characters."),
        ('{"action": "join", "room": "garden"}', "A name is 1 to 32 characters."),
    ],
)
async def test_what_cannot_be_is_answered_with_what_is_expected(sent, message):
    async with testing.node(ROOMS) as node:
        ann = await node.connect("rooms")
        await ann.send(sent)
        assert await ann.receive_json() == {"type": "error", "message": message}


async def test_a_refused_join_leaves_one_where_one_was():
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ben.send_json({"action": "join", "room": "no such place!", "name": "Ben"})
        assert (await ben.receive_json())["type"] == "error"
        await ann.send_json({"action": "say", "text": "still here?"})
        assert (await ben.receive_json())["text"] == "still here?"


async def test_the_longest_text_is_passed_on_and_a_longer_one_is_not():
    async with garden("Ann", "Ben") as (_, ann, ben):
        await ann.send_json({"action": "say", "text": "x" * 2000})
        assert len((await ben.receive_json())["text"]) == 2000
        await ann.receive_json()
        await ann.send_json({"action": "say", "text": "x" * 2001})
        assert (await ann.receive_json())["type"] == "error"
        await ben.nothing()
