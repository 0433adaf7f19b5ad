"""Frames: the same events however the bytes are cut, whatever they are; nothing raised, and no more kept than is allowed."""

from trunkline.wire.frames import encode_client_message
from trunkline.wire.messages import Close, Failed, MessageParser

from .pieces import cut, head

_LIMITS = [(32768, 131072), (125, 125), (200, 1000), (16, 40)]
_KEPT = 14 + 125  # an unfinished header, and a control frame that is not whole


def check(data):
    """Byte 0: role, binary or not, limits. Bytes 1 to 4: where the rest is cut."""
    (options, *sizes), stream = head(data, 5)
    frame_bytes, message_bytes = _LIMITS[options >> 2 & 3]
    how = {
        "server": not options & 1, "binary": not options & 2, "frame_bytes": frame_bytes, "message_bytes": message_bytes,
    }  # fmt: skip
    whole = _read([stream], how)
    assert _read(cut(stream, sizes), how) == whole
    assert _read(cut(stream, [1] * len(stream)), how) == whole
    assert _read([stream], how, messages=1, payload=1) == whole
    _check_end(whole)
    _check_messages(whole, how)


def _read(pieces, how, **bounds):
    parser = MessageParser(**how)
    events = []
    for piece in pieces:
        parser.feed(piece)
        while True:
            events += parser.pull(**bounds)
            if not parser.pending:
                break
        assert len(parser._data) - parser._pos <= _KEPT, "raw bytes are kept that could be read"
        assert len(parser._message or b"") <= how["message_bytes"], "more of a message is kept than is allowed"
    return [_plain(event) for event in events]


def _plain(event):
    if isinstance(event, str | bytes):
        return event
    return (type(event), *(getattr(event, name) for name in event.__slots__))


def _check_end(events):
    ends = [position for position, event in enumerate(events) if type(event) is tuple and event[0] in {Close, Failed}]
    assert ends in ([], [len(events) - 1]), "something follows the end"


def _check_messages(events, how):
    if not how["server"]:
        return
    for event in events:
        if type(event) is not tuple:
            assert len(event if type(event) is bytes else event.encode()) <= how["message_bytes"]
            again = _read([encode_client_message(event)], how | {"frame_bytes": how["message_bytes"]})
            assert again == [event], "what was read is not read again"
