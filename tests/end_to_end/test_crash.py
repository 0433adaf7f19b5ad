"""Ends of a real node that are not in order, `kill -9` under load above all: whoever was accepted gets a DISCONNECT.

15 kills in the suite; `KILLS=50 python -m pytest -s tests/end_to_end/test_crash.py` for more, with the counts.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
from websockets.sync.client import connect

from trunkline.wire.frames import encode_client_message, encode_close
from trunkline.wire.handshake import client_request

COMMAND = Path(sys.executable).with_name("trunkline")
KILLS = int(os.environ.get("KILLS", "15"))
CLIENTS = 200
MOMENT = 0.05  # seconds: so long may the process have been waiting for its CPU between two lines of Python

# What its handlers do goes into a file outside: begun and accepted with the first and the last line of each.
PROGRAM = """
import asyncio
import json
import os
import random
import time

from trunkline import websocket

socket = websocket("socket")
log = os.open(os.environ["CRASH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def note(what, ctx, **more):
    line = {"what": what, "id": ctx.req.connection_id, "at": time.monotonic(), "process": os.getpid()} | more
    os.write(log, b"\\n" + json.dumps(line).encode() + b"\\n")  # the line before it may have been cut off by a kill


@socket.on("connect")
async def connect(ctx):
    await asyncio.sleep(random.random() / 100)
    if "no" in ctx.req.query:
        note("refused", ctx)
        ctx.res.reject(403)
    else:
        note("accepted", ctx, name=ctx.req.query["name"])


@socket.on("message")
async def message(ctx):
    return ctx.req.data


@socket.on("disconnect")
async def disconnect(ctx):
    note("begun", ctx)
    await asyncio.sleep(float(os.environ.get("SLOW", random.random() / 50)))
    note("ended", ctx, code=ctx.req.close_code)
"""


class Node:
    """A `trunkline run` of the program, which can be killed at any moment."""

    def __init__(self, folder, stderr, **more):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        self.process = subprocess.Popen(
            [COMMAND, "run", "crash.py", "--port", "0", "--admin", "off"],
            cwd=folder,
            env=environment | {"CRASH_LOG": str(folder / "log.jsonl")} | more,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def port(self):
        for line in self.process.stdout:
            if found := re.match(r"listening at 127\.0\.0\.1:(\d+)", line):
                return int(found[1])
        raise AssertionError(f"it ended with {self.process.wait()} before it listened")

    def kill(self):
        """From when to when it was being killed."""
        sent = time.monotonic()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        return sent, time.monotonic()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(20)

    def stopped_when_up(self):
        self.port()
        return self.stop()


@pytest.fixture
def start(tmp_path):
    """Start the program, with variables of the environment; what still runs at the end is killed."""
    (tmp_path / "crash.py").write_text(PROGRAM)
    with contextlib.ExitStack() as stack:
        stderr = stack.enter_context((tmp_path / "stderr").open("w"))

        def start(**more):
            node = Node(tmp_path, stderr, **more)
            stack.callback(lambda: node.process.stdout.closed or node.kill())
            return node

        yield start


# The load.


async def visit(port, names, told):
    """Connect, talk, leave in one way or another; `told` gets the name of whoever saw a 101."""
    name = f"{next(names)}"
    target = f"/socket?name={name}" + ("&no=1" if random.random() < 0.1 else "")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(client_request("localhost", target, "dGhlIHNhbXBsZSBub25jZQ=="))
        if random.random() < 0.05:
            return  # it leaves without waiting for an answer
        if b" 101 " not in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]:
            return
        told.add(name)
        for _ in range(random.randrange(8)):
            writer.write(encode_client_message(name))
            await reader.readexactly(2 + len(name))
            await asyncio.sleep(random.random() / 20)
        if random.random() < 0.5:
            writer.write(encode_close(1000, "", mask=b"\1\2\3\4"))
            await reader.read()
    finally:
        writer.transport.abort()


async def load(port, names, told, seconds):
    async def client():
        await asyncio.sleep(random.random() / 10)
        while True:
            try:
                await visit(port, names, told)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.01)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())


async def kill_under_load(node, names, told):
    seconds = random.uniform(0.3, 0.6)
    loading = asyncio.create_task(load(node.port(), names, told, seconds + 0.2))
    await asyncio.sleep(seconds)
    killed = node.kill()
    loading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loading
    return killed


def until(condition, what):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.001)


# The judgement.


def events(folder, kills):
    """What happened to each connection, in order. A kill may cut off a line: what it was to say has not happened."""
    by_id, cut = defaultdict(list), 0
    for line in filter(None, (folder / "log.jsonl").read_text().splitlines()):
        if line.endswith("}"):
            event = json.loads(line)
            by_id[event["id"]].append(event)
        else:
            cut += 1
    assert cut <= kills
    return by_id


def before_a_kill(event, kills):
    """Whether it was written in the last moment of its process."""
    return any(sent - MOMENT <= event["at"] <= over for sent, over in kills)


def judge(folder, told, kills):
    """Counts; every promise is asserted."""
    counts = dict.fromkeys(["accepted", "interrupted", "twice", "unwritten"], 0)
    known = set()
    for connection_id, story in events(folder, len(kills)).items():
        by = {what: [event for event in story if event["what"] == what] for what in ("accepted", "begun", "ended")}
        if story[0]["what"] == "refused":
            assert len(story) == 1, f"{connection_id} was refused, and then: {story[1:]}"
            continue
        assert story[0]["what"] == "accepted", f"nobody knows {connection_id}: {story}"
        known.add(story[0]["name"])
        counts["accepted"] += 1
        counts["interrupted"] += len(by["begun"]) - len(by["ended"])
        for what in ("begun", "ended"):
            processes = [event["process"] for event in by[what]]
            assert len(processes) == len(set(processes)), f"twice in one process: {story}"
        if not by["ended"]:
            # The kill came between the last line of the connect handler and the journal: nobody was told.
            assert story[0]["name"] not in told, f"no DISCONNECT: {story}"
            assert before_a_kill(story[0], kills), f"no DISCONNECT: {story}"
            counts["unwritten"] += 1
        for event in by["ended"]:
            assert event["code"] == 1006 or event["process"] == story[0]["process"], f"a code out of nowhere: {story}"
        for event in by["ended"][:-1]:
            # The kill came between the last line of the disconnect handler and the journal.
            assert before_a_kill(event, kills), f"two DISCONNECTs: {story}"
            counts["twice"] += 1
    assert told <= known
    return counts


@pytest.mark.timeout(60 + 3 * KILLS)
def test_after_every_kill_each_accepted_connection_gets_its_disconnect(tmp_path, start):
    log = tmp_path / "log.jsonl"
    log.touch()
    names, told, kills = iter(range(10**9)), set(), []
    recoveries_killed = 0
    for number in range(KILLS):
        node = start()
        if number % 4 == 3:  # in the middle of what the kill before it left
            size = log.stat().st_size
            until(lambda size=size: log.stat().st_size > size, "the recovery never began")
            time.sleep(random.random() / 50)
            recoveries_killed += 1
            kills.append(node.kill())
        else:
            kills.append(asyncio.run(kill_under_load(node, names, told)))
    last = start()
    asyncio.run(load(last.port(), names, told, 0.3))
    assert last.stop() == 0
    assert (tmp_path / ".trunkline" / "journal").read_bytes() == b""
    counts = judge(tmp_path, told, kills)
    assert len(kills) == KILLS
    assert counts["accepted"] > 50 * KILLS, "that was no load"
    errors = [line for line in (tmp_path / "stderr").read_text().splitlines() if "WARNING" not in line]
    assert errors == []
    print(
        f"\n{KILLS} kills, {recoveries_killed} of them during a recovery; {counts['accepted']} accepted, {len(told)} told "
        f"so; handlers interrupted and run again: {counts['interrupted']}; in the window: {counts['twice']} DISCONNECTs "
        f"twice, {counts['unwritten']} accepted and not yet written"
    )


# Ends that are no crash.


def noted(folder, what):
    if not (folder / "log.jsonl").exists():
        return []
    return [event["id"] for story in events(folder, 0).values() for event in story if event["what"] == what]


def three_clients(node, stack):
    port = node.port()
    for name in range(3):
        stack.enter_context(connect(f"ws://127.0.0.1:{port}/socket?name={name}", close_timeout=1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_disconnect_handlers_that_a_stop_cut_off_run_at_the_next_start(tmp_path, start, number):
    node = start(SLOW="60")
    with contextlib.ExitStack() as stack:
        three_clients(node, stack)
        node.process.send_signal(number)
        until(lambda: len(noted(tmp_path, "begun")) == 3, "the disconnect handlers never began")
        assert node.stop(signal.SIGINT) == 0
    assert noted(tmp_path, "ended") == []
    assert start().stopped_when_up() == 0
    assert sorted(noted(tmp_path, "ended")) == sorted(noted(tmp_path, "accepted"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
def test_a_start_that_is_stopped_in_its_recovery_leaves_the_rest_to_the_next(tmp_path, start, number, code):
    node = start()
    with contextlib.ExitStack() as stack:
        three_clients(node, stack)
        node.kill()
    second = start(SLOW="60")
    until(lambda: len(noted(tmp_path, "begun")) == 3, "the recovery never began")
    assert second.stop(number) == code
    assert noted(tmp_path, "ended") == []
    assert start().stopped_when_up() == 0
    assert sorted(noted(tmp_path, "ended")) == sorted(noted(tmp_path, "accepted"))


def test_a_second_run_in_the_folder_is_refused_in_one_line_and_taken_after_a_kill(tmp_path, start, trunkline):
    first = start()
    first.port()
    environment = {"CRASH_LOG": str(tmp_path / "log.jsonl")}
    refused = trunkline("run", "crash.py", "--port", "0", cwd=tmp_path, env=environment)
    line = (
        f"trunkline: another trunkline run uses {tmp_path}/.trunkline; stop it, or run this one in another folder or "
        "with --store memory:\n"
    )
    assert refused == (2, "", line)
    first.kill()
    assert start().stopped_when_up() == 0
