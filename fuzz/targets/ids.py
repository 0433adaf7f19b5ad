"""Connection ids: every one that is taken is spelt as we spell it, and every altered one is refused."""

import base64

from trunkline.errors import InvalidConnectionId
from trunkline.model.ids import ConnectionIds, message_id

from .pieces import head

_KEY = bytes(range(32))
_READER = ConnectionIds(_KEY)


def check(data):
    """The bytes as an id; as what a real id is altered with; and as where a real id was made."""
    for text in (data.decode("latin-1"), data.decode("utf-8", "surrogateescape"), data[:13].hex()):
        _check_text(text)
    _check_text(base64.urlsafe_b64encode(data[:13].ljust(13, b"\0")).decode())
    made = _check_made(data)
    _check_altered(made, data[:13])
    for at in range(len(made) + 1):
        _refused(made[:at] + chr(data[at % len(data)] if data else 0) + made[at:])


def _check_text(text):
    try:
        origin = _READER.origin(text)
    except InvalidConnectionId as error:
        assert len(str(error)) < 1000
        _message_id(text)
        return
    maker = ConnectionIds(_KEY, node=origin.node, epoch=origin.epoch)
    maker._counter = origin.counter - 1
    assert maker.new() == text


def _message_id(text):
    try:
        made = message_id(text)
    except InvalidConnectionId:
        return
    assert base64.urlsafe_b64decode(made)[-5:] == base64.urlsafe_b64decode(text)[-5:]


def _check_made(data):
    numbers, _ = head(data, 10)
    node = int.from_bytes(numbers[:2], "big") & 0xFFF
    epoch = int.from_bytes(numbers[2:5], "big")
    counter = int.from_bytes(numbers[5:], "big") & (1 << 36) - 1
    maker = ConnectionIds(_KEY, node=node, epoch=epoch)
    maker._counter = counter - 1
    made = maker.new()
    origin = _READER.origin(made)
    assert (origin.node, origin.epoch, origin.counter) == (node, epoch, counter)
    return made


def _check_altered(made, mask):
    if any(mask):
        raw = base64.urlsafe_b64decode(made)
        altered = bytes(one ^ other for one, other in zip(raw, mask.ljust(13, b"\0"), strict=True))
        _refused(base64.urlsafe_b64encode(altered).decode())


def _refused(text):
    try:
        _READER.origin(text)
    except InvalidConnectionId:
        return
    raise AssertionError(f"{text!r} is taken for an id")
