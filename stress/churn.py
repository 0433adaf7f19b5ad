"""Clients that come and go in every way there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

from stress.client import Client
from stress.field import Field, Tally, together
from stress.posts import learn
from stress.scenarios import body, leave

__all__ = ["churn", "visit_again_and_again"]

Way: TypeAlias = Callable[[Field, Tally, Client, Random], Awaitable[None]]
AT_ONCE = 12
PIPELINED = 5


async def churn(field: Field) -> None:
    """So many attempts, a few at a time; each way of coming and going has its counts."""
    tally, each = field.tally("churn"), field.times(40)
    waiting = [way for _ in range(each) for way in WAYS]
    field.random(f"ways {tally.connections}").shuffle(waiting)

    async def visit_after_visit() -> None:
        while waiting:
            way = waiting.pop()
            client, random = field.client(tally, random_path(waiting))
            await field.spread(random, len(WAYS) * each // AT_ONCE)
            await way(field, tally, client, random)
            if not await client.until(lambda client=client: client.lost):  # type: ignore[misc]
                tally.problems.append(f"{way.__name__}: {client.name} is still there")
                client.vanish()

    await together(visit_after_visit() for _ in range(AT_ONCE))


def random_path(waiting: list[Way]) -> str:
    """Now and then the other socket."""
    return "loose" if len(waiting) % 5 == 0 else "stress"


async def with_a_code(field: Field, tally: Tally, client: Client, random: Random) -> None:
    """A message, a reply, a close with code and reason."""
    await client.open(field.port)
    await client.ask(**({} if client.path == "loose" else body(random)))
    tally.expect("replies", 1, client.got["reply"])
    tally.expect("closes", 1, await client.close(random.randrange(4000, 4500), random.choice(["", "ciao", "é" * 61])))


async def without_a_code(field: Field, tally: Tally, client: Client, _: Random) -> None:
    """A close frame that is empty."""
    await client.open(field.port)
    tally.expect("closes", 1, await client.close())


async def without_a_word(field: Field, tally: Tally, client: Client, random: Random) -> None:
    """Messages under way, and a reset or a FIN."""
    tally.expect("opened", 1, await client.open(field.port))
    client.write(b"".join(client.frames() for _ in range(random.randrange(5))))
    await asyncio.sleep(random.uniform(0, 0.01))
    client.vanish(reset=random.random() < 0.5)


async def before_the_answer(field: Field, tally: Tally, client: Client, random: Random) -> None:
    """Gone while the connect handler runs, or just before or after it."""
    tally.expect("begun", 1, await client.connect(field.port, seconds="0.03"))
    await asyncio.sleep(random.uniform(0, 0.06))
    client.vanish(reset=random.random() < 0.5)


async def closing_while_handlers_run(field: Field, tally: Tally, client: Client, _: Random) -> None:
    """The close is answered when the handler has ended, and its reply came."""
    await client.open(field.port)
    client.send("slow", seconds=0.2)
    await asyncio.sleep(0.02)
    tally.expect("closes", 1, await client.close(4400))
    tally.expect("replies", 1, client.got["reply"])


async def gone_while_handlers_run(field: Field, tally: Tally, client: Client, random: Random) -> None:
    """Its handlers go on, and DISCONNECT comes after them."""
    tally.expect("opened", 1, await client.open(field.port))
    for _ in range(3):
        client.send("slow", seconds=0.1)
    await asyncio.sleep(random.uniform(0, 0.1))
    client.vanish(reset=random.random() < 0.5)


async def refused(field: Field, tally: Tally, client: Client, _: Random) -> None:
    """The connect handler says no."""
    await client.open(field.port, refuse="1")
    tally.expect("403", 1, client.status == 403)


async def failed(field: Field, tally: Tally, client: Client, _: Random) -> None:
    """The connect handler raises."""
    await client.open(field.port, fail="1")
    tally.expect("502", 1, client.status == 502)


async def sent_to_early(field: Field, tally: Tally, client: Client, _: Random) -> None:
    """Its connect handler sends to it: that is False, and never comes."""
    await client.open(field.port, early="1")
    await client.ask()
    tally.expect("closes", 1, await client.close(4000))
    tally.expect("replies", 1, client.got["reply"])
    tally.expect("sends", 0, client.got["send"])


async def speaking_early(field: Field, tally: Tally, client: Client, random: Random) -> None:
    """Messages right behind the handshake wait for its end."""
    await client.connect(field.port, seconds=random.choice(["0", "0.02"]))
    client.write(b"".join(client.frames() for _ in range(20)))
    await client.gets(20)
    tally.expect("replies", 20, client.got["reply"])
    tally.expect("closes", 1, await client.close(4000))


async def closing_early(field: Field, tally: Tally, client: Client, random: Random) -> None:
    """So does a close right behind them."""
    await client.connect(field.port, seconds=random.choice(["0", "0.02"]))
    client.write(b"".join(client.frames() for _ in range(random.randrange(20))))
    tally.expect("closes", 1, await client.close(4000, "already"))
    tally.expect("101", 1, client.status == 101)


WAYS: tuple[Way, ...] = (
    with_a_code, without_a_code, without_a_word, before_the_answer, closing_while_handlers_run,
    gone_while_handlers_run, refused, failed, sent_to_early, speaking_early, closing_early,
)  # fmt: skip


# While nodes end.


async def visit_again_and_again(field: Field, tally: Tally, ids: list[str], over: asyncio.Event) -> None:
    """Connect, talk, send to others, leave, wherever the node is now; until it is over. `ids` may be posted to."""
    others: list[str] = []
    while not over.is_set():
        client, random = field.client(tally, "stress")
        query = {"seconds": "0.02"} if random.random() < 0.2 else {}
        if not await client.open(field.port, room="lobby", **query):
            client.vanish()
            await client.until(lambda client=client: client.lost)  # type: ignore[misc]
            await asyncio.sleep(random.uniform(0.02, 0.1))
            continue
        others = [*others[-3:], client.name]
        if random.random() < 0.3:
            await learn(client, ids)
        await _talk(client, random, others, over)
        if random.random() < 0.03:
            client.turn_deaf()
            await asyncio.sleep(random.uniform(0, 1))
            client.vanish()
        await leave(client, random)


async def _talk(client: Client, random: Random, others: list[str], over: asyncio.Event) -> None:
    for _ in range(random.randrange(12)):
        if client.lost or client.code or over.is_set():
            return
        match random.randrange(5):
            case 0:
                await client.ask(**body(random))
            case 1:
                client.write(b"".join(client.frames("slow", seconds=0.002) for _ in range(PIPELINED)))
            case 2:
                await client.ask("send", to=[*others, "somebody of the last life"], padding=100)
            case 3:
                await client.ask("broadcast", room="lobby")
            case 4:
                await client.ask("slow", seconds=random.choice([0.01, 0.1]))
        await asyncio.sleep(random.uniform(0, 0.03))
