"""The connections of this node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trunkline import limits
from trunkline.connections.base import ConnectionInfo, FanOut, Sink
from trunkline.errors import InvalidConnectionId, SendError
from trunkline.wire.frames import check_message_size, encode_message

__all__ = ["LocalConnections"]


class LocalConnections:
    """Open connections by id. A connection is in here from just before its 101 until it is gone.

    Args:
        check_id: raises InvalidConnectionId for an id that no gateway made.
    """

    def __init__(self, check_id: Callable[[str], object]) -> None:
        self._check_id = check_id
        self._sinks: dict[str, Sink] = {}
        # A program's loop sends one message to many: its frame is built once.
        self._last: tuple[str | bytes, bytes] = ("", encode_message(""))

    def __len__(self) -> int:
        return len(self._sinks)

    def add(self, connection_id: str, sink: Sink) -> None:
        """Make a connection addressable."""
        self._sinks[connection_id] = sink

    def remove(self, connection_id: str) -> None:
        """It is gone."""
        self._sinks.pop(connection_id, None)

    async def send(self, api: str, connection_id: str, data: str | bytes) -> bool:
        """See `Connections.send`."""
        sink = self.find(api, connection_id)
        if sink is None:
            return False
        return sink.send(self._frame(data, sink.message_bytes))

    async def close(self, api: str, connection_id: str, code: int, reason: str) -> bool:
        """See `Connections.close`."""
        sink = self.find(api, connection_id)
        return sink is not None and sink.close(code, reason)

    async def info(self, api: str, connection_id: str) -> ConnectionInfo | None:
        """See `Connections.info`."""
        sink = self.find(api, connection_id)
        return None if sink is None else sink.info()

    async def fan_out(self, api: str, connection_ids: Sequence[str], data: str | bytes) -> FanOut:
        """See `Connections.fan_out`."""
        sent = 0
        gone: list[str] = []
        failed: dict[str, Exception] = {}
        find = self._sinks.get
        frame = b""
        for connection_id in connection_ids:
            try:
                sink = find(connection_id)
                if sink is None or sink.api_name != api:
                    sink = self.find(api, connection_id)
                elif not frame:
                    frame = self._frame(data, sink.message_bytes)  # the limit is the Api's, so it is theirs, too
                if sink is not None and sink.send(frame):
                    sent += 1
                else:
                    gone.append(connection_id)
            except SendError as error:
                failed[connection_id] = error
        return FanOut(sent, gone, failed)

    def find(self, api: str, connection_id: str) -> Sink | None:
        """The open connection of an id within an Api; None if there is none."""
        sink = self._sinks.get(connection_id)
        if sink is not None and sink.api_name == api:
            return sink
        if not isinstance(connection_id, str):
            raise InvalidConnectionId(f"a connection id is a str; got {type(connection_id).__name__}")
        self._check_id(connection_id)
        return None

    def _frame(self, data: str | bytes, message_bytes: int) -> bytes:
        last, frame = self._last
        if data is not last:
            frame = encode_message(data, frame_bytes=limits.FRAME_BYTES)
            self._last = (data, frame)
        check_message_size(data, frame, message_bytes)
        return frame
