"""Checks of a connection's life: connect, messages, disconnect, and who may be sent to when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from stress.findings import MOMENT, SECOND, Findings
from stress.history import Call, History, Node, Send, Story
from stress.records import Record

__all__ = [
    "addressable", "connect_first", "disconnected", "disconnected_last", "gone_for_good", "identity", "nothing_after",
    "refused",
]  # fmt: skip

_RECOVERY = 30 * SECOND
_NO_STATUS = (1005, "Client-side close frame status not set")
_ABNORMAL = (1006, "Connection closed abnormally")
_GOING_AWAY = (1001, "Going away")


def connect_first(history: History, found: Findings) -> None:
    """7.1, I-1: no message handler begins, and no client sees a 101, before the connect handler accepted."""
    for story in history.stories:
        opened = story.told.get("client-open")
        later = [(call.begin, "a message handler") for call in story.calls]
        if opened is not None:
            later.append((opened, "a client's 101"))
        for record, what in later:
            accepted = story.connected is not None and story.accepted and story.connected.at <= record.at
            found.fact(accepted, f"{what} without a connect handler that had accepted", story.connected, record)


def nothing_after(history: History, found: Findings) -> None:
    """7.1, I-5: after the disconnect handler began no message handler begins, and sends say False."""
    for story in history.stories:
        if not story.disconnects:
            continue
        end = story.disconnects[0].begin
        found.checked += 1
        for call in story.calls:
            if call.begin.at > end.at:
                found.fact(False, "a message handler after the disconnect handler", end, call.begin)
        for send in story.sends:
            if send.begin.at > end.at and send.end is not None:
                found.fact(send.outcome != "true", "a send said True after the DISCONNECT", end, send.begin, send.end)


def refused(history: History, found: Findings) -> None:
    """I-2: of a refused handshake comes no 101, no message, no DISCONNECT, and nothing is left of it."""
    for story in history.stories:
        answered = story.told.get("client-refused")
        if answered is not None and story.connects:
            found.fact(not story.accepted, "accepted, and its client was refused", story.connected, answered)
        if story.connected is not None and not story.accepted:
            ran = [call.begin for call in (*story.calls, *story.disconnects)]
            opened = story.told.get("client-open")
            found.fact(not ran and opened is None, "refused, and then this", story.connected, *ran, opened)
        elif story.connected is None and story.disconnects:
            found.fact(False, "a DISCONNECT of a connection that nobody accepted", story.disconnects[0].begin)
    for left in history.left:
        story = history.connections.get(left.connection or "", Story())
        killed = history.nodes.get(story.process, Node("")).told.get("node-killed")
        # Between the write and the journal nobody owes it a DISCONNECT.
        excused = killed is not None and (story.connected is None or _was_unwritten(story, killed))
        found.fact(excused, "its document is left", left, story.connected)


def addressable(history: History, found: Findings) -> None:
    """I-3: a send from inside the connect handler is False; after the 101 was seen none is while it is open."""
    for story in history.stories:
        opened, ending = story.at("client-open"), _may_end_at(story, history)
        for send in story.sends:
            if send.end is None or not story.connects:
                continue
            if story.connected is None or send.ended_at < story.connected.at:
                found.fact(send.outcome == "false", "a send to a connection not yet accepted", send.begin, send.end)
            elif opened is not None and opened < send.begin.at and (ending is None or send.ended_at < ending):
                found.fact(send.outcome != "false", "a send to an open connection said False", send.begin, send.end)


def gone_for_good(history: History, found: Findings) -> None:
    """I-15: when a send to a client that saw its 101 was False, every later one is."""
    for story in history.stories:
        opened = story.at("client-open")
        gone: Send | None = None
        for send in story.sends if opened is not None else ():
            if gone is not None and send.begin.at > gone.ended_at:
                found.fact(send.outcome != "true", "True after False", gone.begin, gone.end, send.begin, send.end)
            elif gone is None and send.outcome == "false" and send.begin.at > (opened or 0):
                gone = send


def _may_end_at(story: Story, history: History) -> int | None:
    """When something began that may end it; None if nothing did."""
    ends = ("client-closing", "client-broke", "client-vanished", "client-close-received", "client-closed")
    node = history.nodes.get(story.process, Node(""))
    times = [story.at(kind) for kind in ends] + [node.at("node-term"), node.at("node-killed")]
    times += [close.begin.at for close in story.closes] + [call.begin.at for call in story.disconnects]
    times += [send.begin.at for send in story.sends if send.outcome == "error"]  # full for ten seconds: it is cut
    return min((at for at in times if at is not None), default=None)


def disconnected(history: History, found: Findings) -> None:
    """7.3, I-4: exactly one DISCONNECT; after `kill -9` at least one, before the door of the next life opens."""
    lives = sorted((node for node in history.nodes.values() if "node-listening" in node.told), key=_began)
    for story in history.stories:
        if story.accepted:
            node = history.nodes.get(story.process, Node(story.process))
            _check_owed(story, node, lives, found)
            for first, second in pairwise(story.disconnects):
                excused = _fell_on(history.nodes.get(first.begin.process), first)
                found.fact(excused, "a second DISCONNECT, and no kill fell on the first", first.begin, second.begin)
            for call in story.disconnects:
                if call.begin.process != story.process:
                    _check_recovered(call, node, history.nodes.get(call.begin.process, Node("")), found)


def _began(node: Node) -> int:
    return node.at("node-started") or 0


def _check_owed(story: Story, node: Node, lives: list[Node], found: Findings) -> None:
    if any(call.end is not None for call in story.disconnects):
        found.checked += 1
        return
    killed = node.told.get("node-killed")
    if killed is None:
        over = "node-exited" in node.told or "client-closed" in story.told
        found.fact(
            not over, "accepted and over, and no disconnect handler came to its end", story.connected, *_end(story)
        )
        return
    after = next((life for life in lives if _began(life) > killed.at), None)
    if after is not None:
        text = "no disconnect handler came to its end after the kill, and the next door is open"
        found.fact(_was_unwritten(story, killed), text, story.connected, killed, after.told["node-listening"])


def _was_unwritten(story: Story, killed: Record) -> bool:
    """Whether the kill came before its acceptance was in the journal; then its client was told nothing."""
    end = story.connected
    return end is not None and end.accepted and "client-open" not in story.told and _in_window(end, killed)


def _end(story: Story) -> Iterator[Record | None]:
    return (story.told.get(kind) for kind in ("client-vanished", "client-closing", "client-closed"))


def _in_window(record: Record, killed: Record) -> bool:
    return killed.at - MOMENT <= record.at <= (killed.until or killed.at)


def _fell_on(node: Node | None, call: Call) -> bool:
    """Whether a kill came between the beginning of this handler and the note that it has ended."""
    killed = None if node is None else node.told.get("node-killed")
    return killed is not None and (call.end is None or _in_window(call.end, killed))


def _check_recovered(call: Call, before: Node, node: Node, found: Findings) -> None:
    found.fact(
        "node-killed" in before.told, "a DISCONNECT of a connection of another life, which was not killed", call.begin
    )
    door, started = node.at("node-listening"), node.at("node-started")
    if door is not None and started is not None:
        in_time = call.begin.at <= door and call.begin.at - started <= _RECOVERY
        text = "a DISCONNECT owed by the last life later than 30 s or than the door"
        found.fact(in_time, text, node.told["node-started"], node.told["node-listening"], call.begin)


def disconnected_last(history: History, found: Findings) -> None:
    """7.3: DISCONNECT comes after the messages that were received before the close, and their handlers' ends."""
    for story in history.stories:
        first = next((call.begin for call in story.disconnects if call.begin.process == story.process), None)
        if first is None:
            continue
        for call in story.calls:
            ended = call.end is not None and call.end.at <= first.at
            found.fact(ended, "a DISCONNECT before a message handler ended", call.begin, call.end, first)
        if closed_in_order(story):
            handled = {call.begin.seq for call in story.calls if call.begin.at <= first.at}
            for sent in story.sent:
                if sent.at <= story.told["client-closing"].at:
                    text = "sent before a close that was answered, and not handled before the DISCONNECT"
                    found.fact(sent.seq in handled, text, sent, story.told["client-closing"], first)


def closed_in_order(story: Story) -> bool:
    """Whether its client closed, the server answered that close, and the socket ended behind it."""
    closing, answer = story.told.get("client-closing"), story.told.get("client-close-received")
    closed = story.told.get("client-closed")
    if closing is None or answer is None or closed is None or not closed.clean:
        return False
    return answer.code == closing.code and not story.closes and "client-broke" not in story.told


def identity(history: History, found: Findings) -> None:
    """I-6: ids are never used twice, `connectedAt` stays, and codes and reasons are those of whoever closed."""
    used: dict[str, list[Record]] = defaultdict(list)
    for record in history.used:
        used[record.connection or ""].append(record)
    for story in history.stories:
        if story.connects:
            uses = [*used.get(story.connection, ()), *story.connects]
            found.fact(len(uses) == 1, "an id was used twice", *uses)
            _check_connected_at(story, found)
        for call in story.disconnects:
            _check_ending(story, call.begin, history, found)
        answer = story.told.get("client-close-received")
        if answer is not None and story.connects:
            ours = [(code, reason) for code, reason in _endings(story, answer, history) if code != _ABNORMAL[0]]
            found.fact(_is_one(answer, ours), f"the client saw a close that nobody sent; expected {ours}", answer)


def _check_connected_at(story: Story, found: Findings) -> None:
    first = story.connects[0]
    for call in (*story.calls, *story.disconnects):
        same = call.begin.connected_at == first.connected_at
        found.fact(same, "connectedAt has changed", first, call.begin)


def _check_ending(story: Story, begin: Record, history: History, found: Findings) -> None:
    if begin.process != story.process:
        expected: list[tuple[int, str | None]] = [_ABNORMAL]
    else:
        expected = _endings(story, begin, history)
    found.fact(_is_one(begin, expected), f"it did not end like this; expected {expected}", begin, *_end(story))


def _is_one(record: Record, expected: list[tuple[int, str | None]]) -> bool:
    return any(record.code == code and reason in {None, record.reason} for code, reason in expected)


def _endings(story: Story, by: Record, history: History) -> list[tuple[int, str | None]]:
    """With which codes and reasons it may have ended by then; a reason that does not matter is None."""
    endings: list[tuple[int, str | None]] = []
    closing, broke = story.told.get("client-closing"), story.told.get("client-broke")
    if closing is not None and closing.at <= by.at:
        is_answer = by.kind == "client-close-received"
        plain = (closing.code or 0, closing.reason or "")
        endings.append(plain if closing.code != _NO_STATUS[0] or is_answer else _NO_STATUS)
    if broke is not None and broke.at <= by.at:
        endings.append((broke.code or 0, None))
    endings += [(close.begin.code or 0, close.begin.reason) for close in story.closes if close.begin.at <= by.at]
    term = history.nodes.get(story.process, Node("")).at("node-term")
    if term is not None and term <= by.at:
        endings.append(_GOING_AWAY)
    vanished = story.at("client-vanished")
    if (vanished is not None and vanished <= by.at) or any(map(_was_slow, story.sends)):
        endings.append(_ABNORMAL)
    return endings


def _was_slow(send: Send) -> bool:
    return send.outcome == "error"
