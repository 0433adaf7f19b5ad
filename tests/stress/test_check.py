"""The checker finds what is wrong: for every promise a log that keeps it, and logs that break it once."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from stress.check import INVARIANTS, check, main, report
from stress.records import KINDS, Record, Recorder, RecordError, read

ROOT = Path(__file__).parents[2]
CHECKED = [invariant.name for invariant in INVARIANTS if invariant.check is not None]
ELSEWHERE = [invariant for invariant in INVARIANTS if invariant.check is None]
GOOD: dict = {}
BAD: list = []


def good(name):
    """A log that keeps every promise, and in which this one is put to the test."""

    def add(make):
        GOOD[name] = make
        return make

    return add


def bad(name, text, *also):
    """A log with one violation of a promise, told in these words; it may break others by it."""

    def add(make):
        BAD.append(pytest.param(name, text, {name, *also}, make, id=f"{name}: {make.__name__}"))
        return make

    return add


# 7.1 I-1


@good("7.1 I-1")
def a_message_right_behind_the_handshake(log):
    log.client("ann", "connecting")
    log.say("ann", 1)
    log.handler("ann", "connect-begin", client="ann")
    log.handler("ann", "connect-end", accepted=True)
    log.begin("ann", 1)
    log.client("ann", "open")
    log.end("ann", 1)
    log.reply("ann", 1)
    log.leave("ann")


@bad("7.1 I-1", "a message handler without a connect handler that had accepted")
def a_message_before_the_connect_handler_ended(log):
    log.client("ann", "connecting")
    log.say("ann", 1)
    log.handler("ann", "connect-begin", client="ann")
    log.begin("ann", 1)
    log.handler("ann", "connect-end", accepted=True)
    log.client("ann", "open")
    log.end("ann", 1)
    log.reply("ann", 1)
    log.leave("ann")


@bad("7.1 I-1", "a client's 101 without a connect handler that had accepted")
def a_101_before_the_connect_handler_ended(log):
    log.client("ann", "connecting")
    log.handler("ann", "connect-begin", client="ann")
    log.client("ann", "open")
    log.handler("ann", "connect-end", accepted=True)
    log.leave("ann")


@bad("7.1 I-1", "a client's 101 without a connect handler that had accepted")
def a_101_that_no_handler_knows_of(log):
    log.client("ann", "connecting")
    log.client("ann", "open")


# 7.1 I-5


@good("7.1 I-5")
def a_send_after_the_disconnect_began_is_false(log):
    log.connect("ann")
    log.talk("ann", 1)
    log.leave("ann")
    log.send("ann", 1, "false", arrives=False)


@bad("7.1 I-5", "a message handler after the disconnect handler", "7.3")
def a_message_after_the_disconnect_began(log):
    log.connect("ann")
    log.say("ann", 1)
    log.vanish("ann")
    log.handler("ann", "disconnect-begin", code=1006, reason="Connection closed abnormally")
    log.handler("ann", "disconnect-end")
    log.begin("ann", 1)
    log.end("ann", 1)


@bad("7.1 I-5", "a send said True after the DISCONNECT")
def a_send_after_the_disconnect_began_is_true(log):
    log.connect("ann")
    log.vanish("ann")
    log.gone("ann")
    log.send("ann", 1, "true", arrives=False)


# I-2


@good("I-2")
def a_refused_handshake(log):
    log.connect("ann", accepted=False, opened=False)
    log.client("ann", "refused", status=403)
    log.client("ann", "closed", clean=True)


@bad("I-2", "refused, and then this")
def a_refused_handshake_has_a_disconnect(log):
    log.connect("ann", accepted=False, opened=False)
    log.client("ann", "vanished")
    log.gone("ann")


@bad("I-2", "refused, and then this", "7.1 I-1")
def a_refused_handshake_is_answered_with_101(log):
    log.connect("ann", accepted=False, opened=True)


@bad("I-2", "a DISCONNECT of a connection that nobody accepted")
def a_disconnect_out_of_nowhere(log):
    log.client("ann", "vanished")
    log.gone("ann")


@bad("I-2", "accepted, and its client was refused")
def an_accepted_handshake_is_answered_with_403(log):
    log.connect("ann", opened=False)
    log.client("ann", "refused", status=403)
    log.client("ann", "vanished")
    log.gone("ann")


@bad("I-2", "its document is left")
def a_refused_handshake_leaves_a_document(log):
    log.connect("ann", accepted=False, opened=False)
    log.client("ann", "refused", status=403)
    log.client("ann", "closed", clean=True)
    log.note("clients", "document-left", connection="ANN")


@bad("I-2", "its document is left")
def a_connection_that_a_kill_cut_off_leaves_a_document(log):
    log.connect("ann")
    log.kill()
    log.start(listening=False)
    log.gone("ann")
    log.runner("node-listening")
    log.note("clients", "document-left", connection="ANN")


# I-3


@good("I-3")
def sends_from_inside_connect_and_right_behind_the_101(log):
    log.client("ann", "connecting")
    log.handler("ann", "connect-begin", client="ann")
    log.send("ann", 1, "false", arrives=False)
    log.handler("ann", "connect-end", accepted=True)
    log.client("ann", "open")
    log.send("ann", 2)
    log.closing("ann")
    log.send("ann", 3, "false", arrives=False)
    log.closed("ann")
    log.disconnect("ann")


@bad("I-3", "a send to a connection not yet accepted")
def a_send_from_inside_connect_is_true(log):
    log.client("ann", "connecting")
    log.handler("ann", "connect-begin", client="ann")
    log.send("ann", 1, "true", arrives=False)
    log.handler("ann", "connect-end", accepted=True)
    log.client("ann", "open")
    log.arrive("ann", 1)
    log.leave("ann")


@bad("I-3", "a send to an open connection said False")
def a_send_to_whoever_saw_the_101_is_false(log):
    log.connect("ann")
    log.send("ann", 1, "false", arrives=False)
    log.leave("ann")


# 7.3 I-4


@good("7.3 I-4")
def every_way_to_have_a_disconnect(log):
    log.connect("ann")
    log.leave("ann")
    log.connect("ben", opened=False)  # left before the 101
    log.vanish("ben")
    log.gone("ben")
    log.connect("cat")  # killed while it was connected
    log.connect("dan")
    log.vanish("dan")
    log.disconnect("dan", 1006, "Connection closed abnormally", ended=False)  # killed in its handler
    log.connect("eve")
    log.vanish("eve")
    log.gone("eve")  # killed before that could be noted
    log.connect("fay", opened=False)  # killed before it could be noted
    log.client("hal", "connecting")  # killed in its connect handler
    log.handler("hal", "connect-begin", client="hal")
    log.kill()
    log.start(listening=False)
    for name in ("cat", "dan", "eve"):
        log.gone(name)
    log.runner("node-listening")
    log.connect("gus")  # is still there
    log.note("clients", "document-left", connection="FAY")
    log.note("clients", "document-left", connection="HAL")


@bad("7.3 I-4", "accepted and over, and no disconnect handler came to its end")
def no_disconnect(log):
    log.connect("ann")
    log.closing("ann")
    log.closed("ann")


@bad("7.3 I-4", "accepted and over, and no disconnect handler came to its end")
def no_disconnect_at_the_end_of_the_node(log):
    log.connect("ann")
    log.term()
    log.exit()


@bad("7.3 I-4", "a second DISCONNECT, and no kill fell on the first")
def two_disconnects(log):
    log.connect("ann")
    log.leave("ann")
    log.disconnect("ann")


@bad("7.3 I-4", "a second DISCONNECT, and no kill fell on the first")
def two_disconnects_long_before_a_kill(log):
    log.connect("ann")
    log.leave("ann")
    log.wait(1)
    log.kill()
    log.start(listening=False)
    log.gone("ann")
    log.runner("node-listening")


@bad("7.3 I-4", "no disconnect handler came to its end after the kill, and the next door is open")
def no_disconnect_after_a_kill(log):
    log.connect("ann")
    log.kill()
    log.start()


@bad("7.3 I-4", "no disconnect handler came to its end after the kill, and the next door is open")
def no_disconnect_after_a_kill_of_one_that_was_never_told(log):
    log.connect("ann", opened=False)
    log.wait(1)
    log.kill()
    log.start()


@bad("7.3 I-4", "a DISCONNECT owed by the last life later than 30 s or than the door")
def a_disconnect_after_the_door(log):
    log.connect("ann")
    log.kill()
    log.start(listening=True)
    log.gone("ann")


@bad("7.3 I-4", "a DISCONNECT owed by the last life later than 30 s or than the door")
def a_disconnect_too_late(log):
    log.connect("ann")
    log.kill()
    log.start(listening=False)
    log.wait(31)
    log.gone("ann")
    log.runner("node-listening")


@bad("7.3 I-4", "a DISCONNECT of a connection of another life, which was not killed")
def a_disconnect_in_the_next_life_without_a_kill(log):
    log.connect("ann")
    log.start(listening=False)
    log.gone("ann")
    log.runner("node-listening")


# 7.3


@good("7.3")
def a_close_behind_messages(log):
    log.connect("ann")
    log.say("ann", 1)
    log.say("ann", 2)
    log.closing("ann")
    log.begin("ann", 1)
    log.end("ann", 1)
    log.begin("ann", 2)
    log.end("ann", 2)
    log.reply("ann", 1)
    log.reply("ann", 2)
    log.closed("ann")
    log.disconnect("ann")


@bad("7.3", "a DISCONNECT before a message handler ended")
def a_disconnect_while_a_handler_runs(log):
    log.connect("ann")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.vanish("ann")
    log.gone("ann")
    log.end("ann", 1)


@bad("7.3", "sent before a close that was answered, and not handled before the DISCONNECT")
def a_message_before_a_close_is_forgotten(log):
    log.connect("ann")
    log.talk("ann", 1)
    log.say("ann", 2)
    log.leave("ann")


# I-6


@good("I-6")
def every_way_to_end(log):
    log.connect("ann")
    log.leave("ann")
    log.connect("ben")  # a close without a code
    log.closing("ben", 1005, "")
    log.closed("ben", 1005, "")
    log.disconnect("ben", 1005, "Client-side close frame status not set")
    log.connect("cat")  # closed by a handler
    log.handler("cat", "close-begin", connected_at=None, code=4500, reason="out")
    log.handler("cat", "close-true", code=4500, reason="out")
    log.closed("cat", 4500, "out")
    log.disconnect("cat", 4500, "out")
    log.connect("dan")  # closed for what it sent
    log.client("dan", "broke", code=1002)
    log.closed("dan", 1002, "Frame is not masked")
    log.disconnect("dan", 1002, "Frame is not masked")
    log.connect("eve")
    log.vanish("eve")
    log.gone("eve")
    log.connect("fay")
    log.term()
    log.closed("fay", 1001, "Going away")
    log.disconnect("fay", 1001, "Going away")
    log.exit()


@bad("I-6", "an id was used twice")
def an_id_is_used_twice(log):
    log.connect("ann")
    log.leave("ann")
    log.handler("ann", "connect-begin", client="ann again")


@bad("I-6", "an id was used twice")
def an_id_of_an_earlier_round_is_used(log):
    log.note("runner", "id-used", connection="ANN")
    log.connect("ann")
    log.leave("ann")


@bad("I-6", "connectedAt has changed")
def connected_at_changes(log):
    log.connect("ann")
    log.closing("ann")
    log.closed("ann")
    log.disconnect("ann", connected_at=8)


ENDED = "it did not end like this; expected [(4001, 'bye')]"


@bad("I-6", ENDED)
def another_code(log):
    log.connect("ann")
    log.closing("ann")
    log.closed("ann")
    log.disconnect("ann", code=4002)


@bad("I-6", ENDED)
def another_reason(log):
    log.connect("ann")
    log.closing("ann")
    log.closed("ann")
    log.disconnect("ann", reason="by")


@bad("I-6", "it did not end like this; expected []")
def an_end_that_nobody_made(log):
    log.connect("ann")
    log.gone("ann")


@bad("I-6", "it did not end like this; expected [(1006, 'Connection closed abnormally')]")
def another_code_after_a_kill(log):
    log.connect("ann")
    log.kill()
    log.start(listening=False)
    log.disconnect("ann", 1001, "Going away")
    log.runner("node-listening")


@bad("I-6", "the client saw a close that nobody sent; expected [(4001, 'bye')]")
def another_code_in_the_answer(log):
    log.connect("ann")
    log.closing("ann")
    log.closed("ann", 4002)
    log.disconnect("ann")


# 7.2 I-9


@good("7.2 I-9")
def messages_in_order(log):
    log.connect("ann")
    log.talk("ann", 1, 2, 3)
    log.leave("ann")


@bad("7.2 I-9", "message 3 handled after message 1")
def a_message_is_left_out(log):
    log.connect("ann")
    log.talk("ann", 1)
    log.say("ann", 2)
    log.talk("ann", 3)
    log.vanish("ann")
    log.gone("ann")


@bad("7.2 I-9", "message 1 handled after message 2", "I-11")
def messages_change_places(log):
    log.connect("ann")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.end("ann", 1, "raised")
    log.say("ann", 2)
    log.begin("ann", 2)
    log.end("ann", 2, "raised")
    log.begin("ann", 1)
    log.end("ann", 1, "raised")
    log.vanish("ann")
    log.gone("ann")


# 7.2 one at a time


@good("7.2 one")
def one_at_a_time_unless_the_socket_says_otherwise(log):
    log.connect("ann")
    log.talk("ann", 1, 2)
    log.leave("ann")
    log.connect("ben", ordered=False)
    for step in (log.say, log.begin, log.end):
        step("ben", 1)
        step("ben", 2)
    log.reply("ben", 2)
    log.reply("ben", 1)
    log.leave("ben")


@bad("7.2 one", "two handlers of one connection at a time")
def two_at_a_time(log):
    log.connect("ann")
    for step in (log.say, log.begin, log.end, log.reply):
        step("ann", 1)
        step("ann", 2)
    log.leave("ann")


# 7.2 others


@good("7.2 others")
def others_go_on_while_one_waits(log):
    log.connect("ann")
    log.connect("ben")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.talk("ben", 1)
    log.wait(3)
    log.end("ann", 1)
    log.reply("ann", 1)
    log.leave("ann")
    log.leave("ben")


@bad("7.2 others", "it waited for a handler of another connection")
def one_waits_for_another(log):
    log.connect("ann")
    log.connect("ben")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.say("ben", 1)
    log.wait(3)
    log.end("ann", 1)
    log.reply("ann", 1)
    log.begin("ben", 1)
    log.end("ben", 1)
    log.reply("ben", 1)
    log.leave("ann")
    log.leave("ben")


# I-10


@good("I-10")
def sends_arrive_in_order_if_they_were_made_in_order(log):
    log.connect("ann")
    log.send("ann", 1)
    log.send("ann", 2)
    body = log.body(3)
    log.note(log.node, "broadcast-begin", message="m3", targets=["ANN"], **body)
    log.send("ann", 4)  # while the broadcast is under way
    log.arrive("ann", 3, form="broadcast", owner=None)
    log.note(log.node, "broadcast-end", message="m3", gone=[], failed={})
    log.leave("ann")


@bad("I-10", "sent before another, and arrived after it")
def sends_change_places(log):
    log.connect("ann")
    log.send("ann", 1, arrives=False)
    log.send("ann", 2)
    log.arrive("ann", 1)
    log.leave("ann")


@bad("I-10", "replies out of order")
def replies_change_places(log):
    log.connect("ann")
    for seq in (1, 2):
        log.say("ann", seq)
        log.begin("ann", seq)
        log.end("ann", seq)
    log.reply("ann", 2)
    log.reply("ann", 1)
    log.leave("ann")


# 7.4 order


@good("7.4 order")
def what_was_cut_off_at_the_end_is_lost_in_order(log):
    log.connect("ann")
    log.send("ann", 1)
    log.send("ann", 2, arrives=False)
    log.send("ann", 3, arrives=False)
    log.say("ann", 1)
    log.begin("ann", 1)
    log.end("ann", 1)
    log.vanish("ann")
    log.send("ann", 4, "false", arrives=False)
    log.gone("ann")


@bad("7.4 order", "a send said True, a later one arrived, and it did not")
def a_gap(log):
    log.connect("ann")
    log.send("ann", 1)
    log.send("ann", 2, arrives=False)
    log.send("ann", 3)
    log.vanish("ann")
    log.gone("ann")


@bad("7.4 order", "a send said True, and did not arrive before the end")
def a_loss_before_a_close(log):
    log.connect("ann")
    log.send("ann", 1)
    log.send("ann", 2, arrives=False)
    log.leave("ann")


@bad("7.4 order", "a send said True, and did not arrive before the end")
def a_broadcasts_loss_before_a_close(log):
    log.connect("ann")
    log.note(log.node, "broadcast-begin", message="m1", targets=["ANN", "BEN", "CAT"], **log.body(1))
    log.note(log.node, "broadcast-end", message="m1", gone=["BEN"], failed={"CAT": "SlowConsumer"})
    log.leave("ann")


@bad("7.4 order", "a send said True, and did not arrive before the end")
def a_loss_before_a_fin(log):
    log.connect("ann")
    log.handler("ann", "close-begin", connected_at=None, code=4500, reason="out")
    log.send("ann", 1, arrives=False)
    log.client("ann", "closed", clean=True)
    log.disconnect("ann", 4500, "out")


@bad("7.4 order", "not accepted, and delivered")
def a_false_is_delivered(log):
    log.connect("ann")
    log.closing("ann")
    log.send("ann", 1, "false")
    log.closed("ann")
    log.disconnect("ann")


@bad("7.4 order", "delivered before it was sent")
def delivered_before_it_was_sent(log):
    log.connect("ann")
    log.arrive("ann", 1)
    log.send("ann", 1, arrives=False)
    log.leave("ann")


@bad("7.4 order", "a reply did not arrive, and a later one did")
def a_gap_in_the_replies(log):
    log.connect("ann")
    for seq in (1, 2):
        log.say("ann", seq)
        log.begin("ann", seq)
        log.end("ann", seq)
    log.reply("ann", 2)
    log.vanish("ann")
    log.gone("ann")


@bad("7.4 order", "a reply did not arrive before the answer to the close")
def the_last_reply_is_lost_before_a_close(log):
    log.connect("ann")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.end("ann", 1)
    log.leave("ann")


# 7.4 prompt


def late(log, slow_machine=False):
    log.connect("ann")
    log.connect("ben")
    log.send("ann", 1, arrives=False)
    for seq in range(1, 13):
        log.say("ben", seq)
        log.begin("ben", seq)
        log.end("ben", seq)
        if not slow_machine:
            log.reply("ben", seq)
    log.wait(1.5)
    log.arrive("ann", 1)
    for seq in range(1, 13) if slow_machine else ():
        log.reply("ben", seq)
    log.leave("ann")
    log.leave("ben")


@good("7.4 prompt")
def a_send_is_late_where_everything_is_or_nobody_reads(log):
    late(log, slow_machine=True)
    log.connect("cat")
    log.client("cat", "paused")
    log.send("cat", 2, arrives=False)
    log.connect("dan")
    log.talk("dan", *range(1, 13))
    log.wait(1.5)
    log.arrive("cat", 2)
    log.leave("cat")
    log.leave("dan")


@bad("7.4 prompt", "replies that were made after it arrived long before")
def a_send_is_passed_by_replies(log):
    late(log)


# 7.4 slow


def deaf(log):
    log.connect("ann")
    log.client("ann", "deaf")
    log.send("ann", 1, arrives=False)
    log.send("ann", 2, "error", arrives=False, error="SlowConsumer")


@good("7.4 slow")
def a_deaf_client_is_cut_after_ten_seconds(log):
    deaf(log)
    log.wait(10.5)
    log.gone("ann")
    log.wait(10)
    log.client("ann", "closed")


@bad("7.4 slow", "a queue full for ten seconds, and not cut with 1006")
def a_deaf_client_is_cut_late(log):
    deaf(log)
    log.wait(12.5)
    log.gone("ann")
    log.wait(10)
    log.client("ann", "closed")


@bad("7.4 slow", "a queue full for ten seconds, and not cut with 1006", "I-6")
def a_deaf_client_is_cut_with_another_code(log):
    deaf(log)
    log.wait(10.5)
    log.disconnect("ann", 1001, "Going away")
    log.wait(10)
    log.client("ann", "closed")


@bad("7.4 slow", "an error that is not SlowConsumer")
def another_error(log):
    log.connect("ann")
    log.send("ann", 1, "error", arrives=False, error="RuntimeError")
    log.leave("ann")


@bad("7.4 slow", "SlowConsumer came late")
def the_error_is_late(log):
    log.connect("ann")
    log.handler("ann", "send-begin", connected_at=None, message="m1", **log.body(1))
    log.wait(2)
    log.handler("ann", "send-error", message="m1", error="SlowConsumer")
    log.leave("ann")


# I-11


@good("I-11")
def each_message_once(log):
    log.connect("ann")
    log.talk("ann", 1, 2)
    log.leave("ann")


@bad("I-11", "messages [1] were handled more than once")
def a_message_is_handled_twice(log):
    log.connect("ann")
    log.say("ann", 1)
    for _ in range(2):
        log.begin("ann", 1)
        log.end("ann", 1, "raised")
    log.leave("ann")


@bad("I-11", "a message was handled in another life than its connection's")
def a_message_is_handled_after_a_kill(log):
    log.connect("ann")
    log.say("ann", 1)
    log.kill()
    log.start(listening=False)
    log.begin("ann", 1)
    log.end("ann", 1)
    log.gone("ann")
    log.runner("node-listening")


# I-12


@good("I-12")
def text_bytes_and_errors(log):
    log.connect("ann")
    log.say("ann", 1, binary=True)
    log.begin("ann", 1, binary=True)
    log.end("ann", 1, binary=True)
    log.reply("ann", 1, binary=True, frame=32768)
    log.say("ann", 2)
    log.begin("ann", 2)
    log.end("ann", 2, "raised")
    log.client("ann", "received", form="error", owner="ANN", size=99, crc=5, frame=99)
    log.say("ann", 3)
    log.begin("ann", 3)
    log.end("ann", 3, "cancelled")
    log.client("ann", "received", form="timeout", owner="ANN", size=99, crc=5, frame=99)
    log.send("ann", 1)
    log.leave("ann")


@bad("I-12", "handled other than sent")
def a_message_is_handled_in_part(log):
    log.connect("ann")
    log.say("ann", 1, size=11)
    log.begin("ann", 1)
    log.end("ann", 1)
    log.reply("ann", 1)
    log.leave("ann")


@bad("I-12", "not as it was made, or twice")
def bytes_become_text(log):
    log.connect("ann")
    log.say("ann", 1, binary=True)
    log.begin("ann", 1, binary=True)
    log.end("ann", 1, binary=True)
    log.reply("ann", 1)
    log.leave("ann")


@bad("I-12", "not as it was made, or twice")
def a_send_is_mixed_up(log):
    log.connect("ann")
    log.send("ann", 1, arrives=False)
    log.arrive("ann", 1, crc=1)
    log.leave("ann")


@bad("I-12", "not as it was made, or twice")
def a_send_arrives_twice(log):
    log.connect("ann")
    log.send("ann", 1)
    log.arrive("ann", 1)
    log.leave("ann")


@bad("I-12", "not as it was made, or twice", "I-13")
def something_that_nobody_made(log):
    log.connect("ann")
    log.client("ann", "received", form="unknown", size=3, crc=3)
    log.leave("ann")


@bad("I-12", "a frame over 32 KiB")
def a_frame_too_long(log):
    log.connect("ann")
    log.send("ann", 1, arrives=False)
    log.arrive("ann", 1, frame=32769)
    log.leave("ann")


@bad("I-12", "an error without a handler that failed")
def an_error_without_a_cause(log):
    log.connect("ann")
    log.client("ann", "received", form="error", owner="ANN", size=99, crc=5)
    log.leave("ann")


@bad("I-12", "an error without a handler that failed")
def a_timeout_of_a_handler_that_raised(log):
    log.connect("ann")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.end("ann", 1, "raised")
    log.client("ann", "received", form="timeout", owner="ANN", size=99, crc=5)
    log.leave("ann")


# I-13


@good("I-13")
def everybody_gets_their_own(log):
    log.connect("ann")
    log.connect("ben")
    log.send("ann", 1)
    log.send("ben", 2)
    log.talk("ben", 1)
    log.note(log.node, "broadcast-begin", message="m3", targets=["ANN"], **log.body(3))
    log.arrive("ann", 3, form="broadcast", owner=None)
    log.note(log.node, "broadcast-end", message="m3", gone=[], failed={})
    log.leave("ann")
    log.leave("ben")


@bad("I-13", "a message for ANN reached BEN")
def a_send_reaches_another(log):
    log.connect("ann")
    log.connect("ben")
    log.send("ben", 1, arrives=False)
    log.arrive("ben", 1, owner="ANN")
    log.leave("ann")
    log.leave("ben")


@bad("I-13", "a message for ann reached BEN")
def a_reply_reaches_another(log):
    log.connect("ann")
    log.connect("ben")
    log.say("ben", 1)
    log.begin("ben", 1)
    log.end("ben", 1)
    log.reply("ben", 1, owner="ann")
    log.leave("ann")
    log.leave("ben")


@bad("I-13", "BEN was sent no such message", "I-12", "7.4 order")
def a_broadcast_reaches_another(log):
    log.connect("ann")
    log.connect("ben")
    log.note(log.node, "broadcast-begin", message="m3", targets=["ANN"], **log.body(3))
    log.arrive("ben", 3, form="broadcast", owner=None)
    log.note(log.node, "broadcast-end", message="m3", gone=[], failed={})
    log.leave("ann")
    log.leave("ben")


# I-15


@good("I-15")
def false_stays_false(log):
    log.connect("ann")
    log.send("ann", 1)
    log.closing("ann")
    log.send("ann", 2, "false", arrives=False)
    log.send("ann", 3, "false", arrives=False)
    log.closed("ann")
    log.disconnect("ann")


@bad("I-15", "True after False")
def true_after_false(log):
    log.connect("ann")
    log.closing("ann")
    log.send("ann", 1, "false", arrives=False)
    log.send("ann", 2)
    log.closed("ann")
    log.disconnect("ann")


# 7.9 I-19


@good("7.9 I-19")
def a_node_ends_in_order(log):
    log.connect("ben")
    log.say("ben", 1)
    log.begin("ben", 1)
    log.end("ben", 1, "cancelled")  # at its deadline
    log.leave("ben")
    log.connect("ann")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.term()
    log.say("ann", 2)
    log.end("ann", 1)
    log.reply("ann", 1)
    log.client("ann", "close-received", code=1001, reason="Going away")
    log.begin("ann", 2)
    log.end("ann", 2)
    log.say("ann", 3)  # behind the close
    log.client("ann", "closed", clean=True)
    log.disconnect("ann", 1001, "Going away")
    log.exit()


def ending(log):
    log.connect("ann")
    log.term()
    log.closed("ann", 1001, "Going away")
    log.disconnect("ann", 1001, "Going away")


@bad("7.9 I-19", "SIGTERM, and no exit with 0 within 30 s")
def another_exit_status(log):
    ending(log)
    log.exit(1)


@bad("7.9 I-19", "SIGTERM, and no exit with 0 within 30 s")
def a_late_exit(log):
    ending(log)
    log.wait(31)
    log.exit()


@bad("7.9 I-19", "a handler was cut off")
def a_handler_is_cut_off(log):
    log.connect("ann")
    log.say("ann", 1)
    log.begin("ann", 1)
    log.term()
    log.end("ann", 1, "cancelled")
    log.closed("ann", 1001, "Going away")
    log.disconnect("ann", 1001, "Going away")
    log.exit()


@bad("7.9 I-19", "the node ended, and its client saw no close")
def a_client_is_cut_off(log):
    log.connect("ann")
    log.term()
    log.client("ann", "closed")
    log.disconnect("ann", 1001, "Going away")
    log.exit()


@bad("7.9 I-19", "sent before the close, and not handled")
def a_message_before_the_end_is_forgotten(log):
    log.connect("ann")
    log.say("ann", 1)
    log.term()
    log.closed("ann", 1001, "Going away")
    log.disconnect("ann", 1001, "Going away")
    log.exit()


# All of these, judged.


def violated(findings):
    return {name for name, found in findings.items() if found.violations}


@pytest.mark.parametrize("name", CHECKED)
def test_a_log_that_keeps_a_promise_is_checked_for_it_and_passes(name, log):
    GOOD[name](log)
    findings = check(log.records)
    assert violated(findings) == set(), report(findings)
    assert findings[name].checked > 0


@pytest.mark.parametrize(("name", "text", "names", "make"), BAD)
def test_a_log_that_breaks_a_promise_is_found(name, text, names, make, log):
    make(log)
    findings = check(log.records)
    assert {violation.text for violation in findings[name].violations} == {text}, report(findings)
    assert all(violation.records for violation in findings[name].violations)
    assert violated(findings) == names, report(findings)


def test_every_promise_that_is_checked_has_a_log_that_breaks_it():
    assert {param.values[0] for param in BAD} == set(CHECKED) == set(GOOD)


def test_what_is_checked_elsewhere_is_checked_there():
    assert [invariant.name for invariant in ELSEWHERE] == ["I-7", "I-8"]
    for invariant in ELSEWHERE:
        file = ROOT / re.search(r"tests/\S+\.py", invariant.how)[0]
        assert "def test_" in file.read_text()


# The command.


def write(folder, records):
    for record in records:
        with (folder / f"{record.process}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "stress.check", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_command_prints_a_table_and_ends_with_0(log, tmp_path):
    GOOD["7.2 I-9"](log)
    write(tmp_path, log.records)
    code, out, err = run(tmp_path)
    assert (code, err) == (0, "")
    assert re.search(r"^7\.2 I-9 .* +3 +0$", out, re.M)
    assert len(out.splitlines()) == 1 + len(INVARIANTS)


def test_the_command_shows_the_first_violations_with_their_records_and_ends_with_1(log, tmp_path):
    log.connect("ann")
    for seq in (3, 5, 7, 9, 11):
        log.talk("ann", seq)
    write(tmp_path, log.records)
    code, out, err = run(*tmp_path.iterdir())
    assert (code, err) == (1, "")
    assert re.search(r"^7\.2 I-9 .* +5 +5$", out, re.M)
    assert out.count("7.2 I-9: message") == 3
    assert "7.2 I-9: message 5 handled after message 3\n    {" in out
    assert out.endswith("7.2 I-9: and 2 more\n")
    assert '"kind":"message-begin","connection":"ANN"' in out


@pytest.mark.parametrize("line", ['{"at":1', '{"at":1,"process":"x","kind":"no-such-kind"}', '{"kind":"client-open"}'])
def test_a_line_that_is_no_record_is_an_error(tmp_path, line, capsys):
    file = tmp_path / "x.jsonl"
    file.write_text(f"{line}\n")
    with pytest.raises(RecordError, match=r"x\.jsonl:1: "):
        read([file])
    assert main([str(file)]) == 2
    assert "x.jsonl:1: " in capsys.readouterr().err


def test_without_records_nothing_passes(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert main([]) == 2
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "there are no records" in capsys.readouterr().err


# Records.


def test_records_of_several_processes_are_read_in_order_of_time_and_a_torn_last_line_is_none(tmp_path):
    ours, theirs = (Recorder(tmp_path / f"{name}.jsonl", name) for name in ("ours", "theirs"))
    ours.note("client-open", at=3, client="c")
    ours.note("client-sent", at=5, client="c", seq=1)
    theirs.note("connect-begin", at=2, connection="C", client="c")
    theirs.note("connect-end", at=3, connection="C", accepted=True)
    ours.close()
    theirs.close()
    with (tmp_path / "theirs.jsonl").open("a") as file:
        file.write('{"at":4,"process":"th')
    records = read(sorted(tmp_path.iterdir()))
    assert [(record.at, record.process) for record in records] == [
        (2, "theirs"),
        (3, "ours"),
        (3, "theirs"),
        (5, "ours"),
    ]


def test_a_durable_record_is_in_the_file_at_once_and_others_are_when_they_are_flushed(tmp_path):
    durable, other = Recorder(tmp_path / "a", "a", durable=True), Recorder(tmp_path / "b", "b")
    at = durable.note("client-open", client="c")
    other.note("client-open", client="c")
    assert [record.at for record in read([tmp_path / "a"])] == [at]
    assert read([tmp_path / "b"]) == []
    other.flush()
    assert len(read([tmp_path / "b"])) == 1
    durable.close()
    other.close()


def test_every_kind_is_of_somebody_whom_the_history_knows():
    assert {kind.partition("-")[0] for kind in KINDS} == {
        "client", "connect", "message", "disconnect", "send", "broadcast", "close", "node", "id",
        "document",
    }  # fmt: skip
    assert Record(at=1, process="x", kind="client-open").client is None
