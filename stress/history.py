"""Records put together: each connection's story, told by its client, its handlers and whoever sent to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stress.records import Record

__all__ = ["Call", "Close", "History", "Node", "Send", "Story"]


@dataclass(slots=True)
class Call:
    """A handler that ran; without an end if its process died before."""

    begin: Record
    end: Record | None = None


@dataclass(slots=True)
class Send:
    """A message to a connection. A broadcast is one for each recipient.

    Attributes:
        outcome: "true", "false", "error", or "" if the process died before there was one.
    """

    begin: Record
    connection: str
    end: Record | None = None
    outcome: str = ""

    @property
    def ended_at(self) -> int:
        """When its outcome was known; its beginning if it never was."""
        return self.begin.at if self.end is None else self.end.at


@dataclass(slots=True)
class Close:
    """A `socket.close` of a connection."""

    begin: Record
    closed: bool = False


@dataclass(slots=True)
class Story:
    """All that is known of one connection, or of an attempt that never became one."""

    connection: str = ""
    client: str = ""
    connects: list[Record] = field(default_factory=list)
    connected: Record | None = None  # the end of the connect handler
    calls: list[Call] = field(default_factory=list)  # message handlers, in order of their beginning
    disconnects: list[Call] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)
    received: list[Record] = field(default_factory=list)
    told: dict[str, Record] = field(default_factory=dict)  # what else the client said, the first of each kind

    @property
    def accepted(self) -> bool:
        """Whether its connect handler succeeded."""
        return self.connected is not None and self.connected.accepted

    @property
    def process(self) -> str:
        """The node that it was connected to."""
        return self.connects[0].process if self.connects else ""

    def at(self, kind: str) -> int | None:
        """When its client said this first."""
        record = self.told.get(kind)
        return None if record is None else record.at


@dataclass(slots=True)
class Node:
    """One life of a server process."""

    name: str
    told: dict[str, Record] = field(default_factory=dict)

    def at(self, kind: str) -> int | None:
        """When this happened to it."""
        record = self.told.get(kind)
        return None if record is None else record.at


class History:
    """Everything, by connection, by client and by node. Records have to come in order of time."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.stories: list[Story] = []
        self.connections: dict[str, Story] = {}
        self.clients: dict[str, Story] = {}
        self.nodes: dict[str, Node] = {}
        self.used: list[Record] = []  # connections of earlier rounds
        self.left: list[Record] = []  # documents
        self._sends: dict[tuple[str, str | None, str], Send] = {}
        self._broadcasts: dict[tuple[str, str | None], list[Send]] = {}
        takers = {
            "client": self._client,
            "connect": self._connect,
            "message": self._message,
            "disconnect": self._disconnect,
            "send": self._send,
            "broadcast": self._broadcast,
            "close": self._close,
            "node": self._node,
            "id": self.used.append,
            "document": self.left.append,
        }
        for record in records:
            takers[record.kind.partition("-")[0]](record)

    def own(self, name: str | None) -> Story | None:
        """The story of a connection or of a client of this name."""
        return None if name is None else self.connections.get(name) or self.clients.get(name)

    # Taking records.

    def _story_of(self, connection: str | None) -> Story:
        name = connection or ""
        story = self.connections.get(name)
        if story is None:
            story = self.connections[name] = Story(connection=name)
            self.stories.append(story)
        return story

    def _client(self, record: Record) -> None:
        name = record.client or ""
        story = self.clients.get(name)
        if story is None:
            story = self.clients[name] = Story(client=name)
            self.stories.append(story)
        if record.kind == "client-sent":
            story.sent.append(record)
        elif record.kind == "client-received":
            story.received.append(record)
        else:
            story.told.setdefault(record.kind, record)

    def _connect(self, record: Record) -> None:
        if record.kind == "connect-end":
            self._story_of(record.connection).connected = record
            return
        story = self.clients.get(record.client or "")
        if story is not None and not story.connection and record.connection not in self.connections:
            story.connection = record.connection or ""
            self.connections[story.connection] = story
        self._story_of(record.connection).connects.append(record)

    def _message(self, record: Record) -> None:
        _take(self._story_of(record.connection).calls, record)

    def _disconnect(self, record: Record) -> None:
        _take(self._story_of(record.connection).disconnects, record)

    def _send(self, record: Record) -> None:
        key = (record.process, record.message, record.connection or "")
        if record.kind == "send-begin":
            self._sends[key] = send = Send(record, record.connection or "")
            self._story_of(record.connection).sends.append(send)
        elif key in self._sends:
            send = self._sends[key]
            send.end, send.outcome = record, record.kind.removeprefix("send-")

    def _broadcast(self, record: Record) -> None:
        key = (record.process, record.message)
        if record.kind == "broadcast-begin":
            sends = self._broadcasts[key] = [Send(record, target) for target in record.targets or ()]
            for send in sends:
                self._story_of(send.connection).sends.append(send)
            return
        gone, failed = set(record.gone or ()), record.failed or {}
        for send in self._broadcasts.get(key, ()):
            name = send.connection
            send.end, send.outcome = record, "false" if name in gone else "error" if name in failed else "true"

    def _close(self, record: Record) -> None:
        closes = self._story_of(record.connection).closes
        if record.kind == "close-begin":
            closes.append(Close(record))
        elif closes:
            closes[-1].closed = record.kind == "close-true"

    def _node(self, record: Record) -> None:
        name = record.node or ""
        self.nodes.setdefault(name, Node(name)).told[record.kind] = record


def _take(calls: list[Call], record: Record) -> None:
    if record.kind.endswith("-begin"):
        calls.append(Call(record))
        return
    for call in reversed(calls):
        if call.end is None and call.begin.seq == record.seq and call.begin.process == record.process:
            call.end = record
            return
