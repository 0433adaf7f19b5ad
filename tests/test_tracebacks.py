"""A program's own traceback, as if nothing of ours stood around it."""

import asyncio
from pathlib import Path

import pytest

import trunkline
from trunkline import InvalidDocument, PermissionDenied, collection, testing, websocket
from trunkline.tracebacks import explain, is_programs

OURS = str(Path(trunkline.__file__).parent)


async def raised_by(handler):
    """What a handler of a running node raises."""
    caught = []
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        try:
            await handler(ctx)
        except Exception as error:
            caught.append(error)

    async with testing.node([socket]) as node, await node.connect("socket") as client:
        await client.send("x")
        await asyncio.sleep(1)
    return caught[0]


async def test_frames_of_ours_are_left_out_behind_the_handler_too():
    async def handler(ctx):
        await collection("books").doc("1").get()

    said = explain(await raised_by(handler))
    assert "await collection" in said
    assert OURS not in said
    assert said.splitlines()[-1].startswith(f"trunkline.errors.{PermissionDenied.__name__}: ")


async def test_causes_and_groups_are_told_without_frames_of_ours():
    async def handler(ctx):
        try:
            await collection("books").allow("writing").doc("1").set(object())
        except InvalidDocument as error:
            raise ExceptionGroup("both", [ValueError("one"), error]) from error

    said = explain(await raised_by(handler))
    assert OURS not in said
    assert said.count("InvalidDocument") == 2


def test_an_error_in_which_no_program_took_part_is_ours():
    with pytest.raises(PermissionDenied) as caught:
        raise PermissionDenied("no")
    assert is_programs(caught.value)
    assert not is_programs(PermissionDenied("never raised"))


def test_a_program_took_part_if_it_did_so_in_a_member_of_a_group():
    async def handler(ctx):
        raise ValueError("one")

    member = asyncio.run(raised_by(handler))
    assert is_programs(ExceptionGroup("", [PermissionDenied("never raised"), member]))
    assert not is_programs(ExceptionGroup("", [PermissionDenied("never raised")]))
