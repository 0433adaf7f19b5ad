"""Clients that have hung up while nothing was read from them, and clients that have died.

An event loop that does not read a socket hears nothing of it: uvloop reports neither FIN nor RST while reading
is paused. So the sweep asks the kernel. A client that died without a word is found by TCP itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from typing import Any

from trunkline import limits

__all__ = ["find_dead_peers", "has_hung_up"]


def has_hung_up(descriptor: int) -> bool:
    """Whether the client reset the connection, or closed it and everything it sent has been read."""
    import select

    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0))
    events = dict(poll.poll(0)).get(descriptor, 0)
    if events & (select.POLLERR | select.POLLHUP):
        return True
    return bool(events) and not _has_unread(descriptor)


def _has_unread(descriptor: int) -> bool:
    with socket.socket(fileno=os.dup(descriptor)) as peeking:
        with contextlib.suppress(OSError):
            return bool(peeking.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return False


def find_dead_peers(listening: Iterable[Any]) -> None:
    """Let TCP probe idle clients and give up on silent ones. Accepted sockets inherit it from the listening ones."""
    for server_socket in listening:
        with socket.socket(fileno=os.dup(server_socket.fileno())) as own:
            if own.family not in {socket.AF_INET, socket.AF_INET6}:
                continue
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (
                ("TCP_KEEPIDLE", limits.KEEPALIVE_IDLE_SECONDS),
                ("TCP_KEEPINTVL", limits.KEEPALIVE_INTERVAL_SECONDS),
                ("TCP_KEEPCNT", limits.KEEPALIVE_PROBES),
                ("TCP_USER_TIMEOUT", limits.UNACKNOWLEDGED_SECONDS * 1000),
            ):
                if hasattr(socket, name):  # not every system has all of them
                    own.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
