"""What is measured, against what, and what it has to reach. The numbers are those of the design's table of speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from generator import holding, load
from servers import (
    Server,
    c_epoll,
    peer,
    resident_bytes,
    running,
    seconds_to_first_answer,
    seconds_to_first_handshake,
    template,
    trunkline,
)


@dataclass(frozen=True)
class Measured:
    """One measurement; the CPUs are shares of one CPU during it, None where nothing was generated."""

    value: float
    generator_cpu: float | None = None
    server_cpu: float | None = None


Measure: TypeAlias = Callable[[Server, float], Measured]  # a server, and for how many seconds


@dataclass(frozen=True)
class Row:
    """One row of the table: ours against a reference.

    Attributes:
        reference: what it is compared with; None for a plain figure.
        gate, goal: the ratio, or without a reference the figure, to be reached; None if nothing was set.
    """

    reference: Server | None
    gate: float | None
    goal: float | None


@dataclass(frozen=True)
class Workload:
    """Rows that share the measurement of ours."""

    name: str
    title: str
    unit: str
    measure: Measure
    ours: Server
    rows: tuple[Row, ...]
    lower_is_better: bool = False

    def servers(self) -> list[Server]:
        """Everything that one round measures, ours first."""
        return [self.ours, *(row.reference for row in self.rows if row.reference is not None)]


def echo(*, depth: int) -> Measure:
    """Messages per second."""

    def measure(server: Server, seconds: float) -> Measured:
        with running(server) as process:
            return _measured(load("echo", process, seconds=seconds, connections=100, depth=depth), "rate")

    return measure


def fan(*, connections: int, senders: int = 1, depth: int = 1, key: str = "us") -> Measure:
    """Microseconds per delivery ("us"), or deliveries per second ("rate")."""

    def measure(server: Server, seconds: float) -> Measured:
        with running(server) as process:
            options = {"connections": connections, "senders": senders, "depth": depth, "seconds": seconds}
            return _measured(load("fan", process, **options), key)

    return measure


def post(*, connections: int) -> Measure:
    """Calls per second of 100 HTTP connections. A bare server has no WebSockets that a message could go to."""

    def measure(server: Server, seconds: float) -> Measured:
        ids = int(server.name == "trunkline")
        with running(server) as process:
            options = {"callers": 100, "connections": connections, "ids": ids, "seconds": seconds}
            return _measured(load("post", process, **options), "rate")

    return measure


def handshakes(server: Server, seconds: float) -> Measured:
    """Handshakes per second, 64 in progress, until 10,000 connections are open."""
    with running(server) as process:
        return _measured(load("connect", process, connections=10_000), "rate")


def idle_memory(server: Server, seconds: float) -> Measured:
    """KiB of resident set that each of 9,000 further connections adds to a server that has 1,000."""
    with running(server) as process, holding(process, 1_000):
        time.sleep(0.5)
        before = resident_bytes(process.pid)
        with holding(process, 9_000):
            time.sleep(0.5)
            return Measured((resident_bytes(process.pid) - before) / 9_000 / 1024)


def start_up(server: Server, seconds: float) -> Measured:
    """Milliseconds from the exec to the first 101."""
    return Measured(seconds_to_first_handshake(server) * 1000)


def invocations(function: str, *, connections: int) -> Measure:
    """Messages per second that a function of a template answers, one in flight on each connection.

    Connections are opened one after another: serverless-offline tells handshakes apart by their key, which is always
    the same here. The warm-up is for the workers that the load makes both of them start.
    """

    def measure(server: Server, seconds: float) -> Measured:
        options = {"connections": connections, "concurrency": 1, "warmup": 3 + connections / 40, "seconds": seconds}
        with running(server) as process:
            return _measured(load("echo", process, text=text_for(function), **options), "rate")

    return measure


def flood(function: str, *, connections: int, depth: int) -> Measure:
    """Messages per second that a function of a template answers when many come at once.

    Both are warm: one message is in flight on each connection until the warm-up is over, `depth` from then on. Answers
    that are AWS's error are not counted. It takes ten seconds at least, because a server that has collapsed may rise again.
    """

    def measure(server: Server, seconds: float) -> Measured:
        options = {"connections": connections, "concurrency": 1, "depth": depth, "warmup": 3 + connections / 40}
        with running(server) as process:
            text = text_for(function)
            return _measured(load("flood", process, text=text, seconds=max(seconds, 10), **options), "rate")

    return measure


def latency(function: str, key: str) -> Measure:
    """Milliseconds from when one of 200 messages a second was due until its answer: "p50_us" or "p99_us"."""

    def measure(server: Server, seconds: float) -> Measured:
        options = {"connections": 10, "concurrency": 1, "depth": 64, "rate": 200, "warmup": 3, "seconds": seconds}
        with running(server) as process:
            measured = _measured(load("pace", process, text=text_for(function), **options), key)
        return replace(measured, value=measured.value / 1000)

    return measure


def cold_start(function: str) -> Measure:
    """Milliseconds from a function's first message to its answer."""

    def measure(server: Server, seconds: float) -> Measured:
        with running(server) as process:
            return Measured(seconds_to_first_answer(process.port, text_for(function)) * 1000)

    return measure


def text_for(function: str) -> str:
    """A message of 64 bytes that chooses a function of the template."""
    head = f'{{"action":"{function}","data":"'
    return f"{head}{'0123456789' * 7}"[:62] + '"}'


def _measured(result: dict[str, float], key: str) -> Measured:
    return Measured(result[key], result["generator_cpu"], result["server_cpu"])


C_ECHO, C_FAN = c_epoll("echo"), c_epoll("fan")
UVICORN_HTTP = peer("uvicorn", "http")
OFFLINE = peer("serverless", "default", "serverless-offline")
IN_PROCESS = peer("serverless", "in-process", "its in-process mode")

WORKLOADS = (
    Workload(
        "echo", "routed echo, depth 1", "msg/s", echo(depth=1), trunkline("echo"),
        (Row(C_ECHO, 0.42, 0.55), Row(peer("aiohttp", "echo"), None, 1.1), Row(peer("starlette", "echo"), None, 1.9)),
    ),
    Workload(
        "echo-16", "routed echo, depth 16", "msg/s", echo(depth=16), trunkline("echo"),
        (Row(peer("starlette", "echo"), 3, 5), Row(peer("aiohttp", "echo"), None, None)),
    ),
    Workload(
        "broadcast-1k", "broadcast, 1,000 connections", "µs/delivery", fan(connections=1_000), trunkline("fan"),
        (Row(C_FAN, 1.5, 1.3),), lower_is_better=True,
    ),
    Workload(
        "broadcast-10k", "broadcast, 10,000 connections", "µs/delivery", fan(connections=10_000), trunkline("fan"),
        (Row(C_FAN, 1.5, 1.3),), lower_is_better=True,
    ),
    Workload(
        "in-flight", "broadcast, 1,000 connections, 16 in flight from 16 senders", "deliveries/s",
        fan(connections=1_000, senders=16, key="rate"), trunkline("fan"),
        (Row(peer("websockets", "fan"), 4, 8),),
    ),
    Workload(
        "pipeline", "broadcast, 1,000 connections, 16 in flight from one sender", "deliveries/s",
        fan(connections=1_000, depth=16, key="rate"), trunkline("fan"),
        (Row(peer("websockets", "fan"), None, None),),
    ),
    Workload(
        "tutorial", "the tutorial's loop over SQLite, 1,000 connections", "µs/delivery",
        fan(connections=1_000), trunkline("tutorial", durable=True),
        (Row(Server("our broadcast", trunkline("fan").command), 3, 2.5),), lower_is_better=True,
    ),
    Workload(
        "post", "POST to @connections, unsigned, to one connection", "calls/s", post(connections=1), trunkline("post"),
        (Row(UVICORN_HTTP, 1, None),),
    ),
    Workload(
        "post-100", "POST to @connections, unsigned, each to its own of 100", "calls/s",
        post(connections=100), trunkline("post"), (Row(UVICORN_HTTP, None, None),),
    ),
    Workload(
        "connect", "empty connect handler", "handshakes/s", handshakes, trunkline("connect_empty"),
        (Row(None, 5_000, 10_000),),
    ),
    Workload(
        "connect-durable", "connect handler writes a durable document", "handshakes/s",
        handshakes, trunkline("connect_durable", durable=True),
        (Row(None, 2_500, 5_000),),
    ),
    Workload(
        "memory", "resident set per idle connection", "KiB", idle_memory, trunkline("connect_empty"),
        (Row(None, 8, 6),), lower_is_better=True,
    ),
    Workload(
        "start-up", "start-up to the first accepted connection", "ms", start_up, trunkline("tutorial", durable=True),
        (Row(None, 600, 400),), lower_is_better=True,
    ),
    Workload(
        "template-node-1", "template, a Node function, 1 connection", "msg/s",
        invocations("node", connections=1), template(), (Row(OFFLINE, 1, None), Row(IN_PROCESS, None, None)),
    ),
    Workload(
        "template-node-4", "template, a Node function, 4 connections", "msg/s",
        invocations("node", connections=4), template(), (Row(OFFLINE, None, None), Row(IN_PROCESS, None, None)),
    ),
    Workload(
        "template-node-100", "template, a Node function, 100 connections", "msg/s",
        invocations("node", connections=100), template(), (Row(OFFLINE, None, 1), Row(IN_PROCESS, None, None)),
    ),
    Workload(
        "template-node-flood", "template, a Node function, 100 connections, 16 in flight on each", "msg/s",
        flood("node", connections=100, depth=16), template(), (Row(OFFLINE, 10, None), Row(IN_PROCESS, None, None)),
    ),
    Workload(
        "template-python-1", "template, a Python function, 1 connection", "msg/s",
        invocations("python", connections=1), template(), (Row(None, 1_500, None), Row(OFFLINE, None, 1)),
    ),
    Workload(
        "template-python-4", "template, a Python function, 4 connections", "msg/s",
        invocations("python", connections=4), template(), (Row(None, 1_500, None), Row(OFFLINE, None, None)),
    ),
    Workload(
        "template-python-100", "template, a Python function, 100 connections", "msg/s",
        invocations("python", connections=100), template(), (Row(None, 1_500, None), Row(OFFLINE, None, 1)),
    ),
    Workload(
        "template-python-flood", "template, a Python function, 100 connections, 16 in flight on each", "msg/s",
        flood("python", connections=100, depth=16), template(), (Row(None, 1_500, None), Row(OFFLINE, 10, None)),
    ),
    Workload(
        "template-p50", "template, a Python function at 200 messages/s, median", "ms",
        latency("python", "p50_us"), template(), (Row(None, None, None),), lower_is_better=True,
    ),
    Workload(
        "template-p99", "the same, 99th percentile", "ms",
        latency("python", "p99_us"), template(), (Row(None, 20, None),), lower_is_better=True,
    ),
    Workload(
        "template-cold-node", "template, first message to a Node function", "ms",
        cold_start("node"), template(), (Row(OFFLINE, None, None),), lower_is_better=True,
    ),
    Workload(
        "template-cold-python", "template, first message to a Python function", "ms",
        cold_start("python"), template(), (Row(OFFLINE, None, None),), lower_is_better=True,
    ),
)  # fmt: skip
