"""What clients do while nobody ends the node. Each scenario knows exactly what has to come of it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from stress.client import Client
from stress.field import Field, together

__all__ = ["SCENARIOS"]

PIPELINE = 50
LETTERS = "abcdefghij äöü€😀"
PADDING = [0] * 10 + [500] * 10 + [5000, 40_000, 100_000]  # bytes


async def steady_echo(field: Field) -> None:
    """One message in flight on each connection: texts and bytes, of a few bytes up to nearly 128 KiB."""
    tally, steps = field.tally("steady echo"), field.times(60)

    async def visit() -> None:
        client, random = field.client(tally)
        await client.open(field.port)
        for _ in range(steps):
            await field.spread(random, steps)
            await client.ask(**body(random))
        tally.expect("replies", steps, client.got["reply"])
        tally.expect("closes", 1, await client.close(1000, "done"))

    await together(visit() for _ in range(40))


def body(random: Random) -> dict[str, Any]:
    """What a message is filled with."""
    size = random.choice([0, 10, 100, 100, 1000, 1000, 4000, 20_000, 40_000, 110_000])
    if random.random() < 0.3:
        return {"binary": random.randbytes(size)}
    return {"pad": "".join(random.choices(LETTERS, k=min(size, 100))) * (size // 300)}


async def room(field: Field) -> None:
    """Everybody in a room, whose members are documents, broadcasts to everybody."""
    tally, count, steps = field.tally("broadcast room"), 30, field.times(8)
    everybody = asyncio.Barrier(count)
    name = f"room-{tally.connections}"

    async def visit() -> None:
        client, random = field.client(tally)
        await client.open(field.port, room=name)
        await everybody.wait()
        for _ in range(steps):
            await field.spread(random, steps)
            await client.ask("broadcast", room=name, padding=random.choice(PADDING))
        await client.gets(count * steps, "broadcast")
        await everybody.wait()
        tally.expect("broadcasts", count * steps, client.got["broadcast"])
        tally.expect("closes", 1, await client.close(random.randrange(4000, 4500)))

    await together(visit() for _ in range(count))


async def targeted(field: Field) -> None:
    """Sends to clients that stay, each of which must arrive, and to clients that come and go meanwhile."""
    tally, steps = field.tally("targeted sends"), field.times(160)
    clients = [field.client(tally) for _ in range(30)]
    names = [client.name for client, _ in clients]
    passing: list[str] = []
    over = asyncio.Event()

    async def talk(client: Client, random: Random) -> None:
        for _ in range(steps):
            await field.spread(random, steps)
            await client.ask("send", to=[*random.choices(names, k=4), *passing[-3:]], padding=random.choice(PADDING))

    async def pass_by() -> None:
        while not over.is_set():
            client, random = field.client(tally)
            if await client.open(field.port):
                passing.append(client.name)
            await asyncio.sleep(random.uniform(0, 0.3))
            await leave(client, random)

    await together(client.open(field.port) for client, _ in clients)
    passers = [asyncio.create_task(pass_by()) for _ in range(20)]
    await together(talk(*pair) for pair in clients)
    over.set()
    await asyncio.gather(*passers)
    tally.expect("replies", steps * len(clients), sum(client.got["reply"] for client, _ in clients))
    await together(client.close(4000) for client, _ in clients)
    tally.expect("sends", steps * len(clients) * 4, sum(client.got["send"] for client, _ in clients))


async def leave(client: Client, random: Random) -> None:
    """Go in one way or another."""
    match random.randrange(4):
        case 0:
            await client.close(random.randrange(4000, 4500), random.choice(["", "bye", "ä" * 60]))
        case 1:
            await client.close()
        case 2:
            client.vanish()
        case 3:
            client.vanish(reset=False)
    await client.until(lambda: client.lost)


async def pipelines(field: Field) -> None:
    """50 messages in one write, again and again; on `loose` their handlers run at the same time."""
    tally, bursts = field.tally("pipelines of 50"), field.times(8)

    async def visit(path: str) -> None:
        client, random = field.client(tally, path)
        await client.open(field.port)
        for number in range(bursts):
            await field.spread(random, bursts)
            client.write(b"".join(client.frames("slow", seconds=random.choice([0, 0, 0.001])) for _ in range(PIPELINE)))
            await client.gets((number + 1) * PIPELINE)
        tally.expect("replies", bursts * PIPELINE, client.got["reply"])
        tally.expect("closes", 1, await client.close(4100))

    await together(visit("loose" if number % 3 == 0 else "stress") for number in range(24))


async def slow_handlers(field: Field) -> None:
    """Some handlers take 3 seconds, for which nobody else waits; others are short and many."""
    tally = field.tally("slow handlers")

    async def visit(seconds: float, times: int) -> None:
        client, random = field.client(tally)
        await client.open(field.port)
        for _ in range(times):
            await field.spread(random, times)
            await client.ask("slow", seconds=seconds)
        tally.expect("replies", times, client.got["reply"])
        tally.expect("closes", 1, await client.close(4200))

    longest = 3.0 if field.whole else 0.2
    await together([visit(longest, 1) for _ in range(6)] + [visit(0.05, 10) for _ in range(20)])


async def raising(field: Field) -> None:
    """Every other handler raises: its client is told so, and goes on."""
    tally, steps = field.tally("raising handlers"), field.times(20)

    async def visit() -> None:
        client, random = field.client(tally)
        await client.open(field.port)
        for number in range(1, steps + 1):
            await field.spread(random, steps)
            client.send("raise")
            await client.gets(number, "error")
            await client.ask()
        tally.expect("errors", steps, client.got["error"])
        tally.expect("replies", steps, client.got["reply"])
        tally.expect("closes", 1, await client.close(4300))

    await together(visit() for _ in range(10))


async def closing_behind(field: Field) -> None:
    """20 messages and the close in one write: all are answered, then the close is."""
    tally = field.tally("closing behind 20")

    async def visit() -> None:
        client, random = field.client(tally)
        await client.open(field.port)
        await field.spread(random, 1)
        client.write(b"".join(client.frames("slow", seconds=random.choice([0, 0, 0.005])) for _ in range(20)))
        code = random.randrange(4000, 4500)
        tally.expect("closes", 1, await client.close(code, "enough"))
        tally.expect("replies", 20, client.got["reply"])

    await together(visit() for _ in range(40))


async def closed_by_handlers(field: Field) -> None:
    """A handler sends to another connection and closes it: what it sent is there before the close, no more is.

    Some of these do not read for longer than the node waits for their answer, some close at the same time.
    """
    tally = field.tally("closed by handlers")

    async def visit(how: str) -> None:
        actor, random = field.client(tally)
        target, _ = field.client(tally)
        await actor.open(field.port)
        await target.open(field.port)
        await field.spread(random, 1)
        code = random.randrange(4500, 5000)
        target.read(how != "without reading")
        asked = asyncio.create_task(actor.ask("close", to=target.name, code=code))
        if how == "by both":
            await asyncio.sleep(random.uniform(0, 0.003))
            target.begin_close(4000)
        await asked
        await asyncio.sleep(3 if how == "without reading" else 0)
        target.read(True)
        await target.until(lambda: target.lost)
        tally.expect("sends", target.code == code, target.got["send"] if target.code == code else 0)
        tally.expect("closes", 2, (target.code in {code, 4000}) + await actor.close(1000))

    await together(visit(how) for how in ("by one", "by both", "without reading") * 8)


async def timeouts(field: Field) -> None:
    """A handler that takes longer than it may is cut off, its client is told so once, and goes on."""
    if not field.whole:
        return
    tally = field.tally("handlers cut off")

    async def visit() -> None:
        client, _ = field.client(tally, "hasty")
        await client.open(field.port)
        client.send("slow", seconds=20)
        tally.expect("replies", 1, await client.ask())
        tally.expect("timeouts", 1, client.got["timeout"])
        tally.expect("closes", 1, await client.close(4000))

    await together(visit() for _ in range(5))


async def deaf(field: Field) -> None:
    """A client that reads nothing is sent more than its queue takes, and is cut after ten seconds."""
    tally = field.tally("slow consumers")

    async def visit() -> None:
        actor, _ = field.client(tally)
        target, _ = field.client(tally)
        target.small = True
        await actor.open(field.port)
        await target.open(field.port)
        target.turn_deaf()
        actor.send("flood", to=target.name, padding=100_000, times=1800 if field.whole else 50)
        await actor.until(lambda: actor.got["reply"] > 0, 25)
        tally.expect("floods over", 1, actor.got["reply"])
        target.vanish()
        tally.expect("closes", 1, await actor.close(1000))

    await together(visit() for _ in range(2))


async def slow_readers(field: Field) -> None:
    """A client that reads nothing for a while, with its queue nearly or more than full, and then everything."""
    tally = field.tally("slow readers")

    async def visit(times: int) -> None:
        actor, random = field.client(tally)
        target, _ = field.client(tally)
        await actor.open(field.port)
        await target.open(field.port)
        target.read(False)
        for _ in range(20):
            target.send(pad="x" * 3000)
        await actor.ask("flood", to=target.name, padding=100_000, times=times)
        await asyncio.sleep(random.uniform(0, 2 if field.whole else 0.5))
        target.read(True)
        await target.gets(20)
        tally.expect("replies", 21, target.got["reply"] + actor.got["reply"])
        tally.expect("closes", 2, await target.close(4000) + await actor.close(1000))

    await together(visit(times) for times in (20, 36, 44, 60) * 2)  # the kernel takes about 30


SCENARIOS = (
    steady_echo, room, targeted, pipelines, slow_handlers, raising, closing_behind, closed_by_handlers,
    timeouts, deaf, slow_readers,
)  # fmt: skip
