"""The life of a connection, as one table.

Every transition stands here; one that does not is a bug of ours: it raises and changes nothing.

    CONNECTING  the handshake is being decided; the client may already be sending
    ABANDONED   the client left before the decision
    REFUSED     no connection came of it; nothing runs afterwards
    OPEN        messages flow both ways
    DRAINING    the client's close came, or ours is due; messages received before it are being handled and answered
    CLOSING     our close frame is queued; nothing more is sent, the closing handshake is under way
    GONE        the socket is gone; the disconnect handler runs after the messages
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["State", "Trigger", "after"]


class State(Enum):
    """Where a connection stands."""

    CONNECTING = auto()
    ABANDONED = auto()
    REFUSED = auto()
    OPEN = auto()
    DRAINING = auto()
    CLOSING = auto()
    GONE = auto()


class Trigger(Enum):
    """What moves it."""

    ACCEPT = auto()  # the connect handler succeeded
    REFUSE = auto()  # it did not
    PEER_CLOSE = auto()  # the client's close frame came
    DRAIN = auto()  # our close is due, behind the messages that were received
    CLOSE_SENT = auto()  # our close frame was queued
    LOST = auto()  # the socket is gone


_TABLE: dict[State, dict[Trigger, State]] = {
    State.CONNECTING: {
        Trigger.ACCEPT: State.OPEN,
        Trigger.REFUSE: State.REFUSED,
        Trigger.LOST: State.ABANDONED,
    },
    State.ABANDONED: {
        Trigger.ACCEPT: State.GONE,
        Trigger.REFUSE: State.REFUSED,
    },
    State.REFUSED: {
        Trigger.LOST: State.REFUSED,
    },
    State.OPEN: {
        Trigger.PEER_CLOSE: State.DRAINING,
        Trigger.DRAIN: State.DRAINING,
        Trigger.CLOSE_SENT: State.CLOSING,
        Trigger.LOST: State.GONE,
    },
    State.DRAINING: {
        Trigger.PEER_CLOSE: State.DRAINING,
        Trigger.CLOSE_SENT: State.CLOSING,
        Trigger.LOST: State.GONE,
    },
    State.CLOSING: {
        Trigger.PEER_CLOSE: State.CLOSING,
        Trigger.LOST: State.GONE,
    },
    State.GONE: {},
}


def after(state: State, trigger: Trigger) -> State:
    """The state that follows.

    Raises:
        RuntimeError: the table has no such transition.
    """
    try:
        return _TABLE[state][trigger]
    except KeyError:
        raise RuntimeError(f"a connection that is {state.name} cannot see {trigger.name}") from None
