"""Handlers that hold the loop, on real loops in real time."""

import asyncio
import dataclasses
import hashlib
import json
import logging
import threading
import time

import pytest
import uvloop
import websockets

import trunkline
from trunkline import websocket
from trunkline.gateway.watch import LoopWatch
from trunkline.model.api import CompiledRoute

LOOPS = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main, 30))

    return run


def line_of(text):
    with open(__file__) as file:
        return next(number for number, line in enumerate(file, 1) if text in line)


def program():
    socket = websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        if ctx.req.query.get("slow"):
            time.sleep(0.4)  # in the connect handler

    @socket.on("message", route="sleep")
    async def sleep(ctx):
        await asyncio.sleep(0)
        time.sleep(0.4)  # behind a suspension
        return "slept"

    @socket.on("message", route="compute")
    async def compute(ctx):
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1_000_000)  # inside another library
        return "computed"

    @socket.on("message", route="await")
    async def wait(ctx):
        await asyncio.sleep(0.4)
        return "awaited"

    return socket


async def asked(port, *actions, query=""):
    async with websockets.connect(f"ws://127.0.0.1:{port}/socket{query}") as client:
        for action in actions:
            await client.send(json.dumps({"action": action}))
            await client.recv()


def test_a_step_over_100_ms_is_told_once_with_the_route_and_the_line(run, caplog):
    caplog.set_level(logging.WARNING, "trunkline")

    async def main():
        async with trunkline.open([program()]) as node:
            port = await node.gateway.listen("127.0.0.1", 0)
            await asked(port, "sleep", "sleep", "await", "compute", query="?slow=1")

    run(main())
    messages = [record.message for record in caplog.records]
    assert [message.split(" at ")[0] for message in messages] == [
        "the handler of $connect", "the handler of sleep", "the handler of compute",
    ]  # fmt: skip
    lines = [line_of("# in the connect"), line_of("# behind a suspension"), line_of("# inside another")]
    for message, line in zip(messages, lines, strict=True):
        assert f"holds the loop for over 100 ms; it is at {__file__}:{line}. Everyone else waits for it" in message


def test_who_awaits_is_not_told_of_and_others_do_not_wait(run, caplog):
    async def main():
        async with trunkline.open([program()]) as node:
            port = await node.gateway.listen("127.0.0.1", 0)
            began = time.monotonic()
            await asyncio.gather(*(asked(port, "await") for _ in range(10)))
            assert time.monotonic() - began < 2

    run(main())
    assert caplog.records == []


def test_what_is_no_handler_is_not_told_of(run, caplog):
    async def main():
        watch = LoopWatch(asyncio.get_running_loop())
        time.sleep(0.3)
        await asyncio.sleep(0)
        watch.stop()

    run(main())
    assert caplog.records == []


def test_the_watch_ends_with_the_gateway(run):
    async def main():
        async with trunkline.open([program()]) as node:
            await node.gateway.listen("127.0.0.1", 0)
            assert "trunkline-watch" in {thread.name for thread in threading.enumerate()}
        while "trunkline-watch" in {thread.name for thread in threading.enumerate()}:  # bounded by `run`
            await asyncio.sleep(0.01)

    run(main())


def test_a_handler_that_is_in_no_file_of_the_program_is_told_of_where_it_stands(run, caplog):
    async def invoke(event):
        time.sleep(0.4)  # in an integration

    async def main():
        async with trunkline.open([program()]) as node:
            stage = node.gateway.stages["socket"]
            routes = {"await": CompiledRoute("await", invoke, "template.yaml:7")}
            stage.api = dataclasses.replace(stage.api, routes=routes, connect=None)
            port = await node.gateway.listen("127.0.0.1", 0)
            async with websockets.connect(f"ws://127.0.0.1:{port}/socket") as client:
                await client.send(json.dumps({"action": "await"}))
                await asyncio.sleep(0.5)

    run(main())
    (record,) = caplog.records
    assert record.message.startswith("the handler of await at template.yaml:7 holds the loop for over 100 ms; ")
    assert f"it is at {__file__}:{line_of('in an integration')}." in record.message


def test_a_loop_whose_thread_is_gone_is_not_told_of(caplog):
    watches = []

    def life():
        loop = asyncio.new_event_loop()
        watches.append(LoopWatch(loop))
        loop.close()

    thread = threading.Thread(target=life)
    thread.start()
    thread.join()
    time.sleep(0.3)
    watches[0].stop()
    watches[0]._thread.join(5)
    assert not watches[0]._thread.is_alive()
    assert caplog.records == []


def test_a_loop_that_gets_no_processor_is_not_the_handlers_fault(run, caplog, monkeypatch):
    """The kernel's word for it is replaced: the loop's thread is runnable, and has hardly worked."""
    from trunkline.gateway import watch

    monkeypatch.setattr(watch, "_is_runnable", lambda native_id: True)

    async def main():
        async with trunkline.open([program()]) as node:
            await asked(await node.gateway.listen("127.0.0.1", 0), "sleep")

    run(main())
    assert caplog.records == []


def test_a_thread_that_waits_for_a_processor_is_known_from_one_that_sleeps():
    from trunkline.gateway import watch

    over, ids = threading.Event(), []

    def work():
        ids.append(threading.get_native_id())
        while not over.is_set():
            pass

    def sleep():
        ids.append(threading.get_native_id())
        over.wait()

    for target, expected in ((work, True), (sleep, False)):
        over.clear()
        thread = threading.Thread(target=target)
        thread.start()
        try:
            deadline = time.monotonic() + 5
            while not ids or watch._is_runnable(ids[-1]) is not expected:
                assert time.monotonic() < deadline
                time.sleep(0.001)
        finally:
            over.set()
            thread.join()
        ids.clear()
    assert not watch._is_runnable(2**30), "no such thread"


def test_where_the_system_does_not_tell_what_a_thread_worked_no_loop_is_starved(run, monkeypatch):
    from trunkline.gateway import watch

    monkeypatch.delattr(time, "pthread_getcpuclockid")
    monkeypatch.setattr(watch, "_is_runnable", lambda native_id: True)

    async def main():
        loop_watch = LoopWatch(asyncio.get_running_loop())
        assert not loop_watch._is_starved()
        loop_watch.stop()

    run(main())
