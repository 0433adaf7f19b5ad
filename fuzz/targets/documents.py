"""Documents and page tokens: a value is written or told, and is the same when it is read; a token is ours or told."""

import contextlib
import struct

import msgspec

from trunkline.errors import InvalidDocument, InvalidQuery
from trunkline.resources.collection import _read_token, _write_token
from trunkline.stores.base import OPERATORS, Filter, Record, _plain, check_filter, check_id, decode, encode, matches

_DEEPEST = 40


def check(data):
    """The bytes as JSON, as the recipe of a Python value, as an id, and as a token."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _check_value(msgspec.json.decode(data))
    value = _build(list(data[:256]), _DEEPEST)
    _check_value(value)
    _check_filters(value, data)
    _check_token(data)


def _check_value(value):
    try:
        text = encode(value)
    except InvalidDocument as error:
        assert len(str(error)) < 1000
        return
    assert text.encode()
    again = decode(text)
    assert again == _plain(value, _DEEPEST), "what was written is not what is read"
    assert encode(again) == text, "what was read is not written as it was"


def _build(recipe, depth):
    """Any Python value, also such as are not JSON."""
    if not recipe:
        return None
    kind = recipe.pop(0) % 12
    if kind < 3 and depth:
        count = recipe.pop(0) % 5 if recipe else 0
        items = [_build(recipe, depth - 1) for _ in range(count)]
        return (items, tuple(items), {_name(recipe): item for item in items})[kind]
    return _scalar(kind, bytes(recipe.pop(0) for _ in range(min(9, len(recipe)))))


def _scalar(kind, raw):
    scalars = (
        None, True, False, int.from_bytes(raw, "big", signed=True), int.from_bytes(raw, "big") ** 9,
        struct.unpack("d", raw[:8].ljust(8, b"\0"))[0], raw.decode("utf-8", "surrogateescape"), raw.decode("utf-16", "surrogatepass" if len(raw) % 2 == 0 else "replace"),
        raw, {raw.decode("latin-1")}, 2.0 ** int.from_bytes(raw[:1], "big", signed=True), raw.decode("latin-1") * 3,
    )  # fmt: skip
    return scalars[kind]


def _name(recipe):
    return chr(recipe.pop(0)) * 2 if recipe else ""


def _check_filters(value, data):
    for op in (*OPERATORS, data[:4].decode("latin-1")):
        for field in ("a", data[4:12].decode("latin-1")):
            condition = Filter(field, op, value)
            try:
                check_filter(condition)
            except InvalidQuery:
                continue
            assert matches(value, [condition]) in {True, False}
            if op == "!=":
                assert matches(value, [condition]) is not matches(value, [Filter(field, "==", value)])


def _check_token(data):
    token = data.decode("latin-1")
    for group in (None, "room"):
        try:
            position = _read_token(token, group)
        except InvalidQuery as error:
            assert len(str(error)) < 1000
        else:
            assert all(isinstance(part, str) for part in position)
    id = data[:1024].decode("latin-1")
    try:
        check_id(id)
    except InvalidDocument:
        return
    record = Record(("rooms", id, "messages"), id, None, 1)
    assert _read_token(_write_token(record, None), None) == [id]
    assert _read_token(_write_token(record, "messages"), "messages") == [id, id]
