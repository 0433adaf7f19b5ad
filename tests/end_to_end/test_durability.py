"""What was acknowledged is there: after `kill -9`, on a disk that is full or broken, and in a file that is damaged."""

import asyncio
import contextlib
import errno
import functools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from trunkline.gateway.journal import scan
from trunkline.wire.frames import encode_client_message
from trunkline.wire.handshake import client_request

COMMAND = Path(sys.executable).with_name("trunkline")
KILLS = 20
INTERNAL_ERROR = "Internal server error"

# [operation, id, value]: the answer is sent when the store has said that it is done. Connects and disconnects are noted
# in a file on another disk.
PROGRAM = """
import os

from trunkline import collection, websocket

documents = collection("documents").allow("reading", "writing", "deleting")
socket = websocket("socket")
log = os.open(os.environ["EVENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@socket.on("connect")
async def connect(ctx):
    os.write(log, f"connect {ctx.req.connection_id}\\n".encode())


@socket.on("message")
async def message(ctx):
    operation, id, value = ctx.req.json()
    if operation == "set":
        await documents.doc(id).set(value)
    elif operation == "create":
        await documents.doc(id).create(value)
    elif operation == "delete":
        await documents.doc(id).delete()
    elif operation == "get":
        return {"value": await documents.doc(id).get()}
    elif operation == "wrong":
        found = {name: await documents.doc(name).get() for name in value}
        return {name: found[name] for name in value if found[name] != value[name]}
    return {"done": id}


@socket.on("disconnect")
async def disconnect(ctx):
    os.write(log, f"disconnect {ctx.req.connection_id}\\n".encode())
"""


class Node:
    """A `trunkline run` of the program in a folder; `under` is what it is started by."""

    def __init__(self, folder, events, *, under=()):
        (folder / "app.py").write_text(PROGRAM)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        self.errors = events.with_name("stderr")
        with self.errors.open("a") as stderr:
            self.process = subprocess.Popen(
                [*under, COMMAND, "run", "app.py", "--port", "0", "--admin", "off"],
                cwd=folder,
                env=environment | {"EVENTS": str(events), "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        for line in self.process.stdout:
            if found := re.match(r"listening at 127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return
        raise AssertionError(f"it ended before it listened: {self.errors.read_text()}")

    def connect(self):
        return connect(f"ws://127.0.0.1:{self.port}/socket", open_timeout=20, close_timeout=5)

    def end(self, number):
        """Its exit code."""
        self.process.send_signal(number)
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.fixture
def run(tmp_path):
    """Start the program, in the test's folder or another; what still runs at the end is killed."""
    with contextlib.ExitStack() as stack:

        def run(folder=tmp_path, **options):
            node = Node(folder, tmp_path / "events", **options)
            stack.callback(lambda: node.process.stdout.closed or node.end(signal.SIGKILL))
            return node

        yield run


def ask(client, *request):
    client.send(json.dumps(request))
    return json.loads(client.recv(timeout=20))


def done(answer):
    """Whether it was; if not, it is AWS's frame and nothing else."""
    if "done" in answer:
        return True
    assert (answer["message"], list(answer)) == (INTERNAL_ERROR, ["message", "connectionId", "requestId"])
    return False


def wrong(node, expected):
    """What the program reads of these documents, where it is something else than expected."""
    found = {}
    with node.connect() as client:
        for first in range(0, len(expected), 400):
            found |= ask(client, "wrong", "", dict(list(expected.items())[first : first + 400]))
    return found


def needs(command):
    path = shutil.which(command)
    assert path, f"this test needs {command}: scripts/install installs it, or: apt-get install {command}"
    return path


# `kill -9`.


class Writer:
    """A client that writes documents of its own, one after another, and knows what it was told of each."""

    def __init__(self, number):
        self.number = number
        self.count = 0
        self.acknowledged = 0
        self.known = {}  # by document, what was acknowledged last; None if it was deleted
        self.tried = {}  # what was written since, without an answer: it may be there or not

    def next(self):
        self.count += 1
        kind = random.choice(["set", "set", "set", "create", "delete"])
        if kind == "create":
            return kind, f"{self.number} new {self.count}", self.count
        return kind, f"{self.number} {random.randrange(5)}", None if kind == "delete" else self.count

    async def work(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(client_request("localhost", "/socket", "dGhlIHNhbXBsZSBub25jZQ=="))
            await reader.readuntil(b"\r\n\r\n")
            while True:
                kind, name, value = self.next()
                self.tried.setdefault(name, []).append(value)
                writer.write(encode_client_message(json.dumps([kind, name, value])))
                _, size = await reader.readexactly(2)
                assert json.loads(await reader.readexactly(size)) == {"done": name}
                self.acknowledged += 1
                self.known[name] = value
                del self.tried[name]
        finally:
            writer.transport.abort()


async def write_until_killed(node, writers, seconds):
    async def one(writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await writer.work(node.port)

    working = [asyncio.create_task(one(writer)) for writer in writers]
    await asyncio.sleep(seconds)
    node.process.kill()
    await asyncio.wait_for(asyncio.gather(*working), 20)


def test_after_20_kills_under_load_no_acknowledged_write_is_missing(tmp_path, run):
    writers = [Writer(number) for number in range(50)]
    for _ in range(KILLS):
        node = run()
        asyncio.run(write_until_killed(node, writers, random.uniform(0.1, 0.5)))
        node.end(signal.SIGKILL)
    known = merged(writer.known for writer in writers)
    tried = merged(writer.tried for writer in writers)
    acknowledged = sum(writer.acknowledged for writer in writers)
    assert acknowledged > 100 * KILLS, "that was no load"
    node = run()
    assert wrong(node, {name: value for name, value in known.items() if name not in tried}) == {}
    with node.connect() as client:
        for name, values in tried.items():
            assert ask(client, "get", name, None)["value"] in [known.get(name), *values], "all of it or nothing"
    assert node.end(signal.SIGTERM) == 0
    assert intact(tmp_path)
    print(f"\n{KILLS} kills; {acknowledged} writes acknowledged to {len(known)} documents, 0 missing")


def merged(parts):
    return {name: value for part in parts for name, value in part.items()}


def intact(folder):
    with contextlib.closing(sqlite3.connect(folder / ".trunkline" / "data.sqlite3")) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# A full disk.


@pytest.fixture
def small_disk(tmp_path, request):
    """A disk of 2 MB. Who may not mount one runs the test again, as root of a namespace of its own, and gets None."""
    if os.geteuid() != 0:
        again_as_root(request)
        yield None
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run([needs("mount"), "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    yield disk
    subprocess.run([needs("umount"), disk], check=True)


def again_as_root(request):
    command = [needs("unshare"), "-rm", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, request.node.nodeid], cwd=request.config.rootpath, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"run this test as root; in a namespace it failed:\n{ran.stdout}{ran.stderr}"


def mounting(test):
    """A test that needs `small_disk`; without one it has run already."""

    @functools.wraps(test)
    def wrapped(**fixtures):
        if fixtures["small_disk"] is not None:
            test(**fixtures)

    return wrapped


def fill(disk):
    """A file that leaves no room at all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as opened:
        for size in (4096, 1):
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                while True:
                    opened.write(bytes(size))
    return filler


@mounting
def test_a_full_disk_fails_every_write_for_its_client_and_works_again_by_itself(small_disk, run):
    node = run(small_disk)
    kept = {}
    with node.connect() as client:
        for n in range(20):
            assert done(ask(client, "set", f"{n}", "old"))
            kept[f"{n}"] = "old"
        filler = fill(small_disk)
        outcomes = []
        for n in range(60):
            outcomes.append(done(ask(client, "set", f"{n % 20}", f"new {n} " + "x" * 20_000)))
            if outcomes[-1]:
                kept[f"{n % 20}"] = f"new {n} " + "x" * 20_000
        assert outcomes[-40:] == [False] * 40, "it took so much on a full disk?"
        for name, value in kept.items():
            assert ask(client, "get", name, None) == {"value": value}
        filler.unlink()
        for n in range(20):
            assert done(ask(client, "set", f"{n}", f"after {n}"))
            kept[f"{n}"] = f"after {n}"
    assert "StoreUnavailable: cannot write to the documents in" in node.errors.read_text()
    assert "database or disk is full" in node.errors.read_text()
    node.end(signal.SIGKILL)
    node = run(small_disk)
    assert wrong(node, kept) == {}
    assert node.end(signal.SIGTERM) == 0
    assert intact(small_disk)


def connect_until_refused(node, stack):
    """How many were accepted, on a disk that is full, before one was refused."""
    for accepted in range(60):
        try:
            stack.enter_context(node.connect())
        except InvalidStatus as refused:
            assert (refused.response.status_code, refused.response.body) == (503, b'{"message": "Service Unavailable"}')
            return accepted
    raise AssertionError("it took 60 connections on a full disk")


@mounting
def test_on_a_full_disk_handshakes_are_refused_until_there_is_room_and_every_disconnect_comes(
    small_disk, run, tmp_path
):
    events, journal = tmp_path / "events", small_disk / ".trunkline" / "journal"
    node = run(small_disk)
    with contextlib.ExitStack() as stack:
        stack.enter_context(node.connect())
        leaving = node.connect()
        leaving.__enter__()
        filler = fill(small_disk)
        before = connect_until_refused(node, stack)
        whole = journal.read_bytes()
        assert connect_until_refused(node, stack) == 0
        assert journal.read_bytes() == whole
        assert scan(whole).whole == len(whole), "nothing is half written"
        leaving.__exit__(None, None, None)  # for its end there is no room either
        filler.unlink()
        stack.enter_context(node.connect())
        found = scan(journal.read_bytes())
        assert (len(found.open), found.ended, found.damaged) == (before + 2, 1, [])
        node.end(signal.SIGKILL)
    told = node.errors.read_text()
    assert told.count(f"cannot write the journal of connections {journal}: No space left on device; ") == 1
    assert told.count(f"{journal} can be written again; handshakes are accepted") == 1
    assert run(small_disk).end(signal.SIGTERM) == 0
    lines = events.read_text().splitlines()
    connected = [line.split()[1] for line in lines if line.startswith("connect ")]
    assert len(connected) == 1 + 1 + before + 2 + 1
    assert sorted(line.split()[1] for line in lines if line.startswith("disconnect ")) == sorted(connected)


@mounting
def test_a_start_on_a_full_disk_is_refused_in_one_line(small_disk, tmp_path, trunkline):
    (small_disk / "app.py").write_text(PROGRAM)
    fill(small_disk)
    code, out, err = trunkline("run", "app.py", cwd=small_disk, env={"EVENTS": str(tmp_path / "events")})
    assert (code, out) == (2, "")
    assert re.fullmatch(r"trunkline: cannot keep .* in .*\.trunkline: No space left on device; see to that, .*\n", err)


# A disk that breaks.


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_io_error_is_one_for_its_client_and_no_acknowledgement_was_false(tmp_path, run, call):
    fails = f"inject={call}:error=EIO:when=40+7"  # not in the start
    tracing = [needs("strace"), "-D", "-f", "-qq", "--seccomp-bpf", "-o", tmp_path / "trace", "-e", fails]
    node = run(under=[*tracing, "-e", f"trace={call}"])
    kept, failed = {}, 0
    with node.connect() as client:
        for n in range(200):
            name, value = f"{n % 40}", f"{n}"
            if done(ask(client, "set", name, value)):
                kept[name] = value
            else:
                failed += 1
                kept.setdefault(name, None)
                answer = ask(client, "get", name, None)["value"]
                assert answer == kept[name], "what failed is not seen"
        assert failed >= 5
        while not done(ask(client, "set", "last", "written")):
            time.sleep(0.001)
    told = node.errors.read_text()
    assert "StoreUnavailable: cannot write to the documents in" in told
    assert "disk I/O error" in told
    node.end(signal.SIGKILL)
    assert (tmp_path / "trace").read_text().count("INJECTED") >= failed
    after = run()
    found = wrong(after, kept | {"last": "written"})
    assert after.end(signal.SIGTERM) == 0
    assert found == {}
    assert intact(tmp_path)


# A damaged file.


@pytest.fixture
def database(tmp_path, run):
    """A database with 500 documents, of a node that was stopped in order."""
    node = run()
    with node.connect() as client:
        for n in range(500):
            ask(client, "set", f"{n:03}", "x" * 100)
    assert node.end(signal.SIGTERM) == 0
    return tmp_path / ".trunkline" / "data.sqlite3"


@pytest.mark.parametrize(
    ("position", "why"), [(0, "file is not a database"), (5 * 4096, r"it is damaged \(.*Page 6.*\)")],
    ids=["header", "page"],
)  # fmt: skip
def test_a_damaged_database_is_refused_in_one_line_that_names_it_and_what_to_do(database, trunkline, position, why):
    with database.open("r+b") as opened:
        opened.seek(position)
        opened.write(b"\xff" * 8)
    folder = database.parents[1]
    code, out, err = trunkline("run", "app.py", cwd=folder, env={"EVENTS": str(folder / "events")})
    assert (code, out) == (2, "")
    assert re.fullmatch(
        rf"trunkline: cannot open the documents in {database}: {why}; "
        r"put a backup in its place, or pass another file with --store\n",
        err,
    )
