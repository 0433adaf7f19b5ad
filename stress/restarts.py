"""The node ends, in order and by `kill -9`, while clients come and go; the next life takes over."""

from __future__ import annotations

import asyncio
from random import Random

from stress.churn import visit_again_and_again
from stress.field import Field
from stress.posts import post_again_and_again

__all__ = ["restarts"]

ENDS = ("kill", "term", "kill twice", "kill")  # of a whole round; less than one does without the last


async def restarts(field: Field) -> None:
    """End the node under load and start it again, in every way, then let everybody leave."""
    tally = field.tally("visitors of restarts")
    over = asyncio.Event()
    ids: list[str] = []
    visitors = [asyncio.create_task(visit_again_and_again(field, tally, ids, over)) for _ in range(60)]
    visitors += [asyncio.create_task(post_again_and_again(field, ids, over)) for _ in range(4)]
    try:
        random = field.random(f"ends after {field.node.lives} lives")
        ends = ENDS if field.scale == 1 else ENDS[:-1]
        for end in random.sample(ends, len(ends)):
            await asyncio.sleep(random.uniform(0.4, 1.0))
            await _end(field, end, random)
            field.tally("restarts").expect(f"served after {end}", 1, await _served(field))
    finally:
        over.set()
        await asyncio.gather(*visitors)


async def _end(field: Field, end: str, random: Random) -> None:
    """One way to end the node, and the next life up to its open door."""
    node = field.node
    if end == "term":
        status = await node.term()
        field.tally("restarts").expect(f"exit with 0, and not {status}", 1, status == 0)
    else:
        await node.kill()
    if end == "kill twice":
        # In the middle of what the first kill has left to do.
        await node.begin()
        await _until_it_writes(field)
        await asyncio.sleep(random.uniform(0, 0.02))
        await node.kill()
    await node.start()


async def _until_it_writes(field: Field) -> None:
    for _ in range(3000):
        if field.node.records.exists() and field.node.records.stat().st_size > 0:
            return
        await asyncio.sleep(0.01)


async def _served(field: Field) -> bool:
    """Whether somebody gets an answer."""
    client, _ = field.client(field.tally("restarts"))
    await client.open(field.port)
    answered = await client.ask()
    await client.close(4000)
    return answered
