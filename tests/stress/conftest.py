"""Logs made by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # `stress` is a folder of the repository, not of the package

from stress.findings import SECOND
from stress.records import Record

MILLISECOND = SECOND // 1000


class Log:
    """What the processes of a run wrote, in order; a millisecond passes between two records."""

    def __init__(self):
        self.now = 1000 * SECOND
        self.records = []
        self.node = ""
        self.start()

    def note(self, process, kind, **fields):
        self.now += MILLISECOND
        record = Record(at=self.now, process=process, kind=kind, **fields)
        self.records.append(record)
        return record

    def wait(self, seconds):
        self.now += round(seconds * SECOND)

    # The runner.

    def runner(self, kind, **fields):
        return self.note("runner", kind, node=self.node, **fields)

    def start(self, listening=True):
        self.node = f"node-{1 + sum(record.kind == 'node-started' for record in self.records)}"
        self.runner("node-started")
        if listening:
            self.runner("node-listening")

    def kill(self):
        self.runner("node-killed", until=self.now + 3 * MILLISECOND)
        self.now += 3 * MILLISECOND

    def term(self):
        self.runner("node-term")

    def exit(self, status=0):
        self.runner("node-exited", status=status)

    # A client, whose connection's id is its name in capitals.

    def client(self, name, kind, **fields):
        return self.note("clients", f"client-{kind}", client=name, **fields)

    def handler(self, name, kind, **fields):
        if kind.endswith("begin"):
            fields.setdefault("connected_at", 7)
        return self.note(self.node, kind, connection=name.upper(), **({"connected_at": None} | fields))

    def connect(self, name, accepted=True, opened=True, **fields):
        self.client(name, "connecting")
        self.handler(name, "connect-begin", client=name, **fields)
        self.handler(name, "connect-end", accepted=accepted)
        if opened:
            self.client(name, "open")

    def say(self, name, seq, **fields):
        self.client(name, "sent", seq=seq, **self.body(seq, **fields))

    def begin(self, name, seq, **fields):
        self.handler(name, "message-begin", seq=seq, **self.body(seq, **fields))

    def end(self, name, seq, outcome="returned", **fields):
        body = self.body(seq, **fields) if outcome == "returned" else {}
        self.handler(name, "message-end", seq=seq, outcome=outcome, **body)

    def reply(self, name, seq, **fields):
        body = {"frame": 10, "owner": name} | self.body(seq)
        self.client(name, "received", form="reply", seq=seq, **body | fields)

    def body(self, number, **fields):
        return {"size": 10, "crc": 1000 + number, "binary": False} | fields

    def talk(self, name, *seqs):
        for seq in seqs:
            self.say(name, seq)
            self.begin(name, seq)
            self.end(name, seq)
            self.reply(name, seq)

    def send(self, name, number, outcome="true", arrives=True, **fields):
        self.handler(name, "send-begin", connected_at=None, message=f"m{number}", **self.body(number))
        self.handler(name, f"send-{outcome}", message=f"m{number}", **fields)
        if arrives:
            self.arrive(name, number)

    def arrive(self, name, number, **fields):
        body = {"form": "send", "owner": name.upper(), "frame": 10} | self.body(number)
        self.client(name, "received", message=f"m{number}", **body | fields)

    def closing(self, name, code=4001, reason="bye"):
        self.client(name, "closing", code=code, reason=reason)

    def closed(self, name, code=4001, reason="bye"):
        self.client(name, "close-received", code=code, reason=reason)
        self.client(name, "closed", clean=True)

    def vanish(self, name):
        self.client(name, "vanished")
        self.client(name, "closed")

    def disconnect(self, name, code=4001, reason="bye", ended=True, **fields):
        self.handler(name, "disconnect-begin", code=code, reason=reason, **fields)
        if ended:
            self.handler(name, "disconnect-end")

    def gone(self, name):
        """Its DISCONNECT without a close frame."""
        self.disconnect(name, 1006, "Connection closed abnormally")

    def leave(self, name):
        self.closing(name)
        self.closed(name)
        self.disconnect(name)


@pytest.fixture
def log():
    return Log()
