"""Checks of messages to clients: in order, nothing left out, whole, and to whom they were addressed."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from stress.findings import SECOND, Findings
from stress.history import Call, History, Node, Send, Story
from stress.lifecycle import closed_in_order
from stress.records import Record

__all__ = ["addressed", "nothing_left_out", "prompt", "sends_in_order", "slow_consumers", "whole"]

_PROMPT = SECOND
_CLOSE_SECONDS = 2 * SECOND
_SLOW_SECONDS = 10 * SECOND
_SWEEP_SECONDS = 2 * SECOND  # one for the sweep, one for a busy machine
_FRAME_BYTES = 32 * 1024


def sends_in_order(history: History, found: Findings) -> None:
    """I-10: what is sent to a connection one after another arrives in that order, and so do its replies."""
    for story in history.stories:
        latest: Send | None = None
        for record, send in _arrivals(story):
            if latest is not None:
                in_order = send.ended_at >= latest.begin.at
                found.fact(in_order, "sent before another, and arrived after it", send.begin, latest.begin, record)
            if latest is None or send.begin.at > latest.begin.at:
                latest = send
        if story.connects and story.connects[0].ordered:
            replies = [record for record in story.received if record.form == "reply"]
            for one, other in pairwise(replies):
                found.fact((one.seq or 0) < (other.seq or 0), "replies out of order", one, other)


def _arrivals(story: Story) -> Iterator[tuple[Record, Send]]:
    by_message = {send.begin.message: send for send in story.sends}
    for record in story.received:
        if record.form in {"send", "broadcast"} and record.message in by_message:
            yield record, by_message[record.message]


def nothing_left_out(history: History, found: Findings) -> None:
    """7.4: True is in order on the output, before any later byte and the FIN; what was not True is not delivered."""
    for story in history.stories:
        if not story.client:
            continue
        arrived: set[str | None] = set()
        newest: Send | None = None
        for record, send in _arrivals(story):
            arrived.add(record.message)
            newest = send if newest is None or send.begin.at > newest.begin.at else newest
            found.fact(send.outcome in {"true", ""}, "not accepted, and delivered", send.begin, send.end, record)
            found.fact(send.begin.at <= record.at, "delivered before it was sent", send.begin, record)
        lost = [send for send in story.sends if send.outcome == "true" and send.begin.message not in arrived]
        _check_lost_sends(lost, newest, _last_word(story, history), found)
        _check_replies(story, found)


def _last_word(story: Story, history: History) -> Record | None:
    """The close or the FIN of a node that lives, behind which nothing was to come; None if it was cut off."""
    answer, closed = story.told.get("client-close-received"), story.told.get("client-closed")
    if answer is not None or closed is None or not closed.clean:
        return answer
    killed = "node-killed" in history.nodes.get(story.process, Node("")).told
    cut = killed or not story.accepted or {"client-vanished", "client-deaf"} & set(story.told)
    return None if cut or any(send.outcome == "error" for send in story.sends) else closed


def _check_lost_sends(lost: list[Send], newest: Send | None, end: Record | None, found: Findings) -> None:
    for send in lost:
        if newest is not None:
            passed = send.ended_at < newest.begin.at
            found.fact(not passed, "a send said True, a later one arrived, and it did not", send.begin, newest.begin)
        found.fact(end is None, "a send said True, and did not arrive before the end", send.begin, send.end, end)


def _check_replies(story: Story, found: Findings) -> None:
    got = {record.seq for record in story.received if record.form == "reply"}
    made = [call for call in story.calls if _replied(call)]
    lost = [call for call in made if call.begin.seq not in got]
    newest = max((_end_of(call) for call in made if call.begin.seq in got), default=0)
    ordered = bool(story.connects) and story.connects[0].ordered
    everything = closed_in_order(story) and _took(story) < _CLOSE_SECONDS
    found.checked += len(made)
    for call in lost:
        if ordered and _end_of(call) < newest:
            found.fact(False, "a reply did not arrive, and a later one did", call.begin, call.end)
        elif everything:
            found.fact(False, "a reply did not arrive before the answer to the close", call.end, *story.told.values())


def _replied(call: Call) -> bool:
    end = call.end  # whose message has no number, nobody has written down
    return call.begin.seq is not None and end is not None and end.outcome == "returned" and end.size is not None


def _end_of(call: Call) -> int:
    assert call.end is not None
    return call.end.at


def _took(story: Story) -> int:
    return story.told["client-close-received"].at - story.told["client-closing"].at


def prompt(history: History, found: Findings) -> None:
    """7.4: what is sent to whoever reads is written within a few turns: no replies made later arrive long before."""
    replies = _reply_times(history)
    for story in history.stories:
        if not {"client-paused", "client-deaf"} & set(story.told):
            for record, send in _arrivals(story):
                took = record.at - send.ended_at
                passed = took > _PROMPT and _is_passed(send.ended_at, took, replies)
                found.fact(
                    not passed, "replies that were made after it arrived long before", send.begin, send.end, record
                )


def _reply_times(history: History) -> list[tuple[int, int]]:
    """When each reply was made, and how long it took, in order."""
    times = []
    for story in history.stories:
        got = {record.seq: record.at for record in story.received if record.form == "reply"}
        ended = {call.begin.seq: _end_of(call) for call in story.calls if _replied(call)}
        if not {"client-paused", "client-deaf"} & set(story.told):
            times += [(at, got[seq] - at) for seq, at in ended.items() if seq in got]
    return sorted(times)


def _is_passed(at: int, took: int, replies: list[tuple[int, int]]) -> bool:
    """Whether it is not the machine that was slow."""
    first, last = bisect(replies, (at, 0)), bisect(replies, (at + took // 4, 0))
    later = sorted(took for _, took in replies[first:last])
    return len(later) >= 10 and later[len(later) // 2] < took // 8


def slow_consumers(history: History, found: Findings) -> None:
    """7.4: a full queue is SlowConsumer at once; full for ten seconds, the connection is cut with 1006."""
    over = max((story.at("client-closed") or 0 for story in history.stories), default=0)
    for story in history.stories:
        streak: Send | None = None
        for send in story.sends:
            if send.outcome == "error" and send.end is not None:
                found.fact(_is_slow(send), "an error that is not SlowConsumer", send.begin, send.end)
                found.fact(send.end.at - send.begin.at < SECOND, "SlowConsumer came late", send.begin, send.end)
                streak = streak or send
            elif send.outcome == "true":
                streak = None
        if streak is not None:
            _check_cut(story, streak, over, found)


def _is_slow(send: Send) -> bool:
    assert send.end is not None
    error = send.end.error or (send.end.failed or {}).get(send.connection)
    return error == "SlowConsumer"


def _check_cut(story: Story, streak: Send, over: int, found: Findings) -> None:
    deadline = streak.ended_at + _SLOW_SECONDS + _SWEEP_SECONDS
    left = story.at("client-vanished") or over
    if left < deadline or "client-deaf" not in story.told:
        return  # it went before, or the records end before
    cut = story.disconnects[0].begin if story.disconnects else None
    in_time = cut is not None and cut.at <= deadline and cut.code == 1006
    found.fact(in_time, "a queue full for ten seconds, and not cut with 1006", streak.begin, streak.end, cut)


def whole(history: History, found: Findings) -> None:
    """I-12: a message is whole, of its type, there once, and in frames of at most 32 KiB; or it is not there."""
    for story in history.stories:
        if story.client:
            _check_handled(story, found)
            _check_received(story, found)


def _check_handled(story: Story, found: Findings) -> None:
    by_seq = {record.seq: record for record in story.sent}
    for call in story.calls:
        if call.begin.seq is not None:
            sent = by_seq.get(call.begin.seq)
            found.fact(_same(sent, call.begin), "handled other than sent", sent, call.begin)


def _check_received(story: Story, found: Findings) -> None:
    made = {f"reply {call.begin.seq}": call.end for call in story.calls if _replied(call)}
    made |= {f"send {send.begin.message}": send.begin for send in story.sends}
    outcomes = Counter(call.end.outcome for call in story.calls if call.end is not None)
    causes = {"error": outcomes["raised"], "timeout": outcomes["cancelled"]}
    seen: Counter[str] = Counter()
    for record in story.received:
        name = _name_of(record)
        seen[name] += 1
        found.fact((record.frame or 0) <= _FRAME_BYTES, "a frame over 32 KiB", record)
        if name in causes:
            found.fact(seen[name] <= causes[name], "an error without a handler that failed", record)
        else:
            right = seen[name] == 1 and _same(made.get(name), record)
            found.fact(right, "not as it was made, or twice", made.get(name), record)


def _name_of(record: Record) -> str:
    if record.form == "reply":
        return f"reply {record.seq}"
    return f"send {record.message}" if record.form in {"send", "broadcast"} else record.form or ""


def _same(made: Record | None, seen: Record) -> bool:
    return made is not None and (made.size, made.crc, made.binary) == (seen.size, seen.crc, seen.binary)


def addressed(history: History, found: Findings) -> None:
    """I-13: whoever a message names in itself is who receives it; a broadcast's is among its recipients."""
    for story in history.stories:
        messages = {send.begin.message for send in story.sends}
        for record in story.received:
            if record.form != "broadcast":
                right = record.owner is not None and record.owner in {story.connection, story.client}
                found.fact(right, f"a message for {record.owner} reached {story.connection}", record)
            if record.form in {"send", "broadcast"}:
                found.fact(record.message in messages, f"{story.connection} was sent no such message", record)
