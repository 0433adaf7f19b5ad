"""Checks of handlers: called once for each message, in order, one at a time, for as long as the node lives."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from stress.findings import SECOND, Findings
from stress.history import Call, History, Node, Story
from stress.records import Record

__all__ = ["drained", "in_order", "nobody_waits", "once", "one_at_a_time"]

_WAIT = 2 * SECOND  # longer than a machine that is busy with other things holds anybody up
_DRAIN_SECONDS = 30 * SECOND


def in_order(history: History, found: Findings) -> None:
    """7.2, I-9: message handlers of a connection begin in the order of its messages, and none is left out."""
    for story in history.stories:
        last, before = 0, None
        for call in story.calls:
            seq = call.begin.seq
            if seq is None or seq == last:
                continue  # twice is another invariant's
            found.fact(seq == last + 1, f"message {seq} handled after message {last}", before, call.begin)
            last, before = max(seq, last), call.begin


def one_at_a_time(history: History, found: Findings) -> None:
    """7.2: a message handler begins when the one before it has ended."""
    for story in history.stories:
        if story.connects and story.connects[0].ordered:
            for one, other in pairwise(story.calls):
                alone = one.end is not None and one.end.at <= other.begin.at
                found.fact(alone, "two handlers of one connection at a time", one.begin, one.end, other.begin)


def nobody_waits(history: History, found: Findings) -> None:
    """7.2: while a handler awaits, those of other connections begin."""
    for node in {story.process for story in history.stories if story.process}:
        stories = [story for story in history.stories if story.process == node]
        long = [call for story in stories for call in story.calls if _lasted(call) >= _WAIT]
        for story in stories if long else ():
            others = [call for call in long if call.begin.connection != story.connection]
            _check_waits(story, others, history.nodes.get(node, Node("")), found)


def _lasted(call: Call) -> int:
    return 0 if call.end is None else call.end.at - call.begin.at


def _check_waits(story: Story, others: list[Call], node: Node, found: Findings) -> None:
    sent = {record.seq: record for record in story.sent}
    last = story.at("client-open") or 0
    term = node.at("node-term")
    for call in story.calls:
        begin, came = call.begin, sent.get(call.begin.seq)
        if came is not None and "client-deaf" not in story.told and (term is None or begin.at < term):
            ready = max(came.at, last)
            during = [other for other in others if _overlap(other, ready, ready + _WAIT) > 0]
            if during:
                culprit = next((other for other in during if _overlap(other, ready, begin.at) >= _WAIT), None)
                why = [] if culprit is None else [culprit.begin, culprit.end]
                found.fact(culprit is None, "it waited for a handler of another connection", came, begin, *why)
        last = begin.at if call.end is None else call.end.at


def _overlap(call: Call, begin: int, end: int) -> int:
    assert call.end is not None
    return min(call.end.at, end) - max(call.begin.at, begin)


def once(history: History, found: Findings) -> None:
    """I-11: one message is one invocation, also across the node's lives."""
    for story in history.stories:
        counts = Counter(call.begin.seq for call in story.calls if call.begin.seq is not None)
        found.checked += len(counts)
        twice = {seq for seq, count in counts.items() if count > 1}
        if twice:
            again = [call.begin for call in story.calls if call.begin.seq in twice]
            found.fact(False, f"messages {sorted(twice)} were handled more than once", *again)
        for call in story.calls:
            if call.begin.process != story.process:
                found.fact(False, "a message was handled in another life than its connection's", call.begin)


def drained(history: History, found: Findings) -> None:
    """7.9, I-19: after SIGTERM what was received is handled, handlers end, clients see 1001, and the exit is 0."""
    for node in history.nodes.values():
        term, ended = node.told.get("node-term"), node.told.get("node-exited")
        if term is None or "node-killed" in node.told:
            continue
        in_time = ended is not None and ended.status == 0 and ended.at - term.at <= _DRAIN_SECONDS
        found.fact(in_time, "SIGTERM, and no exit with 0 within 30 s", term, ended)
        for story in history.stories:
            if story.process == node.name and story.accepted:
                _check_drained(story, term, found)


def _check_drained(story: Story, term: Record, found: Findings) -> None:
    for call in story.calls:
        complete = call.end is not None and (call.end.outcome != "cancelled" or call.end.at < term.at)
        found.fact(complete, "a handler was cut off", term, call.begin, call.end)
    answer, closed = story.told.get("client-close-received"), story.told.get("client-closed")
    if closed is None or closed.at < term.at or "client-vanished" in story.told or "client-deaf" in story.told:
        return
    found.fact(answer is not None, "the node ended, and its client saw no close", term, closed)
    if answer is not None and answer.code == 1001 and closed.clean:
        handled = {call.begin.seq for call in story.calls}
        for sent in story.sent:
            done = sent.seq in handled or sent.at > answer.at
            found.fact(done, "sent before the close, and not handled", sent, answer)
