"""What the gateway promises, under any mixture of what clients and handlers do, in virtual time.

Each example is a script: three clients send, ping, close, vanish and stop reading as they like, and each message
says what its handler is to do. What handlers saw and clients got is noted, and judged afterwards.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline import SlowConsumer, testing, websocket
from trunkline.testing.plugin import run_test
from trunkline.wire.frames import OP_CONTINUATION, OP_TEXT, encode_client_message, encode_close, encode_frame

CLIENTS = 3
BURST = 20
MASK = b"\1\2\3\4"
SETTLE = 200  # seconds in which every handler, closing handshake and slow queue comes to its end

# What a message asks of its handler; a number is whom it is about.
people = st.integers(0, CLIENTS - 1)
behaviours = st.one_of(
    st.sampled_from(["return", "nothing", "raise", "cancel", "long"]),
    st.builds("sleep {}".format, st.sampled_from([0.1, 1, 3])),
    st.builds("send {}".format, people),
    st.builds("send-later {}".format, people),
    st.builds("flood {}".format, people),
    st.builds("close {}".format, people),
)
connects = st.sampled_from(["accept"] * 8 + ["slowly", "slowly", "reject", "raise", "reject-slowly"])
talks = st.one_of(
    st.tuples(st.just("messages"), people, st.lists(behaviours, min_size=1, max_size=BURST)),
    st.tuples(st.just("fragments"), people, behaviours),
    st.tuples(st.sampled_from(["ping", "stop", "go-on"]), people),
)
pauses = st.tuples(st.just("wait"), st.sampled_from([0.0, 0.01, 0.5, 2.0]))
leaves = st.tuples(st.sampled_from(["close", "vanish", "hang-up"]), people)
# Much talk, then some leave, and the others go on.
scripts = st.tuples(
    st.lists(connects, min_size=CLIENTS, max_size=CLIENTS),
    st.tuples(pauses),
    st.lists(st.one_of(talks, talks, pauses), min_size=3, max_size=20),
    st.lists(st.one_of(talks, pauses, leaves), min_size=3, max_size=20),
)


@dataclass
class Person:
    """A client of the script, and what it has done."""

    client: testing.Client
    sent: list[str] = field(default_factory=list)  # messages whose last byte is on its way
    left: bool = False  # it sends no more
    vanished: bool = False  # what is on its way may be lost
    stopped: bool = False  # it ceased to read at some time


class World:
    """A node, its clients, and the history of what happened.

    Attributes:
        history: (what, connection id, detail) in order.
        accepted: what `send` returned True for, by connection id, in order.
        closed: ids that a handler closed.
    """

    def __init__(self, ordered):
        self.history = []
        self.accepted = defaultdict(list)
        self.closed = set()
        self.ids = {}
        self.people = []
        self.count = 0
        self.socket = websocket("socket", ordered=ordered).allow("closing")
        self.socket.on("connect")(self._connect)
        self.socket.on("message")(self._message)
        self.socket.on("disconnect")(self._disconnect)

    # The program.

    async def _connect(self, ctx):
        id, how = ctx.req.connection_id, ctx.req.query["how"]
        self.ids[int(ctx.req.query["number"])] = id
        self.history.append(("connect begins", id, how))
        if "slowly" in how:
            await asyncio.sleep(1)
        if how == "raise":
            raise ZeroDivisionError
        if "reject" in how:
            ctx.res.reject(403)
        self.history.append(("connect ends", id, how))

    async def _message(self, ctx):
        id, text = ctx.req.connection_id, ctx.req.data
        self.history.append(("message begins", id, text))
        try:
            return await self._do(id, *text.split(" ")[1:])
        finally:
            self.history.append(("message ends", id, text))

    async def _disconnect(self, ctx):
        id = ctx.req.connection_id
        self.history.append(("disconnect begins", id, ctx.req.close_code))
        assert await self.socket.send(id, "you are gone") is False
        await asyncio.sleep(0.1)
        self.history.append(("disconnect ends", id, ctx.req.close_code))

    async def _do(self, id, what, about="0"):
        other = self.ids.get(int(float(about)))
        if what == "return":
            return "reply"
        if what == "raise":
            raise ZeroDivisionError
        if what == "cancel":
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        if what == "long":
            return "r" * 100_000
        if what == "sleep":
            await asyncio.sleep(float(about))
        if what == "send-later":
            await asyncio.sleep(0.2)
        if what.startswith("send") and other:
            await self._send(other, 10)
        if what == "flood" and other:
            for _ in range(5):
                await self._send(other, 60_000)
        if what == "close" and other and await self.socket.close(other, 4000, "enough"):
            self.closed.add(other)
        return None

    async def _send(self, other, size):
        self.count += 1
        text = f"sent {self.count:06} " + "x" * size
        try:
            if await self.socket.send(other, text):
                self.accepted[other].append(text)
        except SlowConsumer:
            self.closed.add(other)  # it may be cut now

    # The script.

    async def play(self, connects, actions):
        async with testing.node([self.socket]) as node:
            handshakes = []
            for number, how in enumerate(connects):
                person = Person(node.client(timeout=SETTLE))
                self.people.append(person)
                handshakes.append(asyncio.ensure_future(self._handshake(person, number, how)))
            for name, *arguments in actions:
                await getattr(self, "_" + name.replace("-", "_"))(*arguments)
            await asyncio.wait(handshakes)
            self.connected = [not task.exception() for task in handshakes]
            await self._end()
            stuck = node.running.gateway.alive | node.running.gateway.ending
            node.running.gateway.alive.clear()  # else the gateway would wait for them
            assert not stuck

    async def _end(self):
        """Whoever is still there reads what there is to read, and closes."""
        for person in self.people:
            person.client.go_on_reading()
        await asyncio.sleep(SETTLE)
        for person in self.people:
            if not person.left:
                person.client.send_bytes(encode_close(1000, "the end", mask=MASK))
        await asyncio.sleep(SETTLE)
        for person in self.people:
            await person.client.closed()

    async def _handshake(self, person, number, how):
        await person.client.handshake(f"/socket?how={how}&number={number}")

    def _say(self, person, *behaviours):
        texts = [f"{len(person.sent) + n} {behaviour}" for n, behaviour in enumerate(behaviours)]
        person.sent += texts
        return texts

    async def _wait(self, seconds):
        await asyncio.sleep(seconds)

    async def _messages(self, number, behaviours):
        person = self.people[number]
        if not person.left:
            texts = self._say(person, *behaviours)
            person.client.send_bytes(b"".join(encode_client_message(text) for text in texts))

    async def _fragments(self, number, behaviour):
        person = self.people[number]
        if person.left:
            return
        (text,) = self._say(person, behaviour)
        parts = [text[:1], text[1:4], text[4:]]
        for position, part in enumerate(parts):
            opcode = OP_CONTINUATION if position else OP_TEXT
            person.client.send_bytes(encode_frame(opcode, part.encode(), fin=position == 2, mask=MASK))
            if position == 1:
                await person.client.ping(b"between")
            await asyncio.sleep(0.01)

    async def _ping(self, number):
        if not self.people[number].left:
            await self.people[number].client.ping(b"ping")

    async def _stop(self, number):
        self.people[number].stopped = True
        self.people[number].client.stop_reading()

    async def _go_on(self, number):
        self.people[number].client.go_on_reading()

    async def _close(self, number):
        person = self.people[number]
        if not person.left:
            person.left = person.client._close_sent = True
            person.client.send_bytes(encode_close(1000, "bye", mask=MASK))

    async def _vanish(self, number):
        person = self.people[number]
        person.left = person.vanished = True
        person.client.vanish()

    async def _hang_up(self, number):
        person = self.people[number]
        person.left = person.vanished = True
        person.client.hang_up()


def of(world, number):
    """The history of one client's connection, and its id; None if the handshake never came."""
    id = world.ids.get(number)
    return id, [(what, detail) for what, whose, detail in world.history if whose == id]


def check_life(events, how):
    """Section 7.1 and 7.3: nothing before accepted, one disconnect if accepted, nothing behind it."""
    names = [what for what, _ in events]
    assert names[0] == "connect begins"
    if "accept" not in how and how != "slowly":
        assert set(names[1:]) <= {"connect ends"}, "a refused connection has no messages and no disconnect"
        return
    assert names[1] == "connect ends"
    assert names[-2:] == ["disconnect begins", "disconnect ends"]
    assert names.count("disconnect begins") == 1
    middle = names[2:-2]
    assert set(middle) <= {"message begins", "message ends"}
    assert middle.count("message begins") == middle.count("message ends")


def check_messages(events, person, ordered, everything):
    """Section 7.2 and 7.3: in order and one at a time, none lost that was received."""
    begun = [detail for what, detail in events if what == "message begins"]
    assert begun == person.sent[: len(begun)], "in order, none twice"
    if everything:
        assert begun == person.sent
    if ordered:
        names = [what for what, _ in events if what.startswith("message")]
        assert names == ["message begins", "message ends"] * len(begun), "one at a time"


async def check_deliveries(person, accepted, complete):
    """Section 7.4: what a send returned True for arrives, in order."""
    received = []
    while True:
        try:
            received.append(await person.client.receive())
        except testing.Closed:
            break
    sent = [text for text in received if text.startswith("sent ")]
    assert sent == accepted[: len(sent)]
    if complete:
        assert sent == accepted


async def check(world, connects, ordered):
    for number, person in enumerate(world.people):
        id, events = of(world, number)
        if id is None:
            continue  # its client left before its request was read
        check_life(events, connects[number])
        ended_by_us = id in world.closed
        check_messages(
            events, person, ordered, everything=not person.vanished and not ended_by_us and world.connected[number]
        )
        if world.connected[number]:
            complete = not person.vanished and not (person.stopped and (ended_by_us or person.left))
            await check_deliveries(person, world.accepted[id], complete)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(script=scripts)
@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "at once"])
def test_promises_hold(ordered, script):
    connects, *acts = script

    async def run():
        world = World(ordered)
        await world.play(connects, [action for act in acts for action in act])
        await check(world, connects, ordered)

    run_test(run, {})
