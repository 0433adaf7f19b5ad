"""More than the node can do: clients that ask again as soon as they are answered."""

from __future__ import annotations

import asyncio

import msgspec

from stress.client import Client
from stress.field import Field, together
from stress.frames import message

__all__ = ["crowd"]

PEOPLE = 150
STEPS = 10


class Drummer(Client):
    """A client that costs next to nothing: its messages have no number, and are not written down.

    Attributes:
        asked, answered: how many messages it sent, and how many replies came.
    """

    asked = answered = 0
    _drumming = False
    _frame = b""
    _bytes = 0

    def drum(self, on: bool) -> None:
        """Begin, or end with the next reply."""
        self._drumming = on
        if on:
            self._frame = message(msgspec.json.encode({"client": self.name}).decode())
            self._ask()

    def _ask(self) -> None:
        self.asked += 1
        self.write(self._frame)

    def data_received(self, data: bytes) -> None:
        """See `Client.data_received`."""
        if self.answered == self.asked:
            super().data_received(data)
            return
        self._bytes += len(data)
        if self._bytes == len(self._frame) - 4:  # a server's frame has no mask
            self._bytes = 0
            self.answered += 1
            if self._drumming:
                self._ask()
            self._changed.set()


async def crowd(field: Field) -> None:
    """What is sent to one who only listens comes all the same."""
    tally, over = field.tally("crowd"), asyncio.Event()
    listener, _ = field.client(tally)
    sender, _ = field.client(tally)
    await listener.open(field.port)
    await sender.open(field.port)

    async def visit() -> None:
        tally.connections += 1
        person = Drummer(field.recorder, f"crowd-drummer-{tally.connections}")
        await person.open(field.port)
        person.drum(True)
        await over.wait()
        person.drum(False)
        await person.until(lambda: person.answered == person.asked)
        tally.expect("replies", person.asked, person.answered)
        tally.expect("closes", 1, await person.close(4000))

    async def listen() -> None:
        for _ in range(STEPS):
            await asyncio.sleep(field.seconds / 2 / STEPS)
            sender.send("send", to=[listener.name])
        await listener.gets(STEPS, "send")
        over.set()

    await together([listen(), *(visit() for _ in range(PEOPLE))])
    tally.expect("sends", STEPS, listener.got["send"])
    tally.expect("closes", 2, await listener.close() + await sender.close())
