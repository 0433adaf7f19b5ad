"""Connection ids: unique, unpredictable, and recognised without a look-up."""

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidConnectionId
from trunkline.model.ids import ConnectionIds, Origin, api_id, message_id, request_id

KEY = bytes(range(32))
ALPHABET = string.ascii_letters + string.digits + "-_"


def raw(text):
    return base64.urlsafe_b64decode(text)


def test_an_id_is_20_characters_of_13_bytes():
    ids = ConnectionIds(KEY)
    for _ in range(100):
        text = ids.new()
        assert len(text) == 20
        assert text.endswith("=")
        assert set(text.rstrip("=")) <= set(ALPHABET)
        assert len(raw(text)) == 13


def test_ids_are_unique_over_counts_nodes_and_epochs():
    made = [
        maker.new()
        for maker in (ConnectionIds(KEY, node=node, epoch=epoch) for node in range(4) for epoch in range(4))
        for _ in range(500)
    ]
    assert len(set(made)) == len(made)


def test_neighbours_share_no_visible_prefix():
    ids = ConnectionIds(KEY)
    first, second = raw(ids.new()), raw(ids.new())
    differing = sum((a ^ b).bit_count() for a, b in zip(first, second, strict=True))
    assert 25 <= differing <= 79


@pytest.mark.parametrize(("node", "epoch"), [(0, 0), (1, 0), (0, 1), (4095, 2**24 - 1), (7, 2**23)])
def test_origin_gives_back_node_epoch_and_count(node, epoch):
    ids = ConnectionIds(KEY, node=node, epoch=epoch)
    assert [ids.origin(ids.new()) for _ in range(3)] == [Origin(node, epoch, count) for count in (1, 2, 3)]


@given(node=st.integers(0, 4095), epoch=st.integers(0, 2**24 - 1), key=st.binary(min_size=32, max_size=32))
def test_every_node_of_a_cluster_reads_the_ids_of_the_others(node, epoch, key):
    assert ConnectionIds(key).origin(ConnectionIds(key, node=node, epoch=epoch).new()) == Origin(node, epoch, 1)


def test_every_altered_character_is_refused():
    ids = ConnectionIds(KEY, node=3, epoch=9)
    text = ids.new()
    for at, was in enumerate(text):
        for now in ALPHABET + "=+/ .~":
            if now != was:
                with pytest.raises(InvalidConnectionId):
                    ids.origin(text[:at] + now + text[at + 1 :])


@given(st.data())
def test_two_swapped_characters_are_refused(data):
    ids = ConnectionIds(KEY)
    text = ids.new()
    one, other = data.draw(st.integers(0, 18)), data.draw(st.integers(0, 18))
    swapped = list(text)
    swapped[one], swapped[other] = text[other], text[one]
    if swapped != list(text):
        with pytest.raises(InvalidConnectionId):
            ids.origin("".join(swapped))


def test_another_spelling_of_the_same_bytes_is_refused():
    ids = ConnectionIds(KEY)
    text = next(text for text in iter(ids.new, None) if set("-_") & set(text))
    last = ALPHABET_IN_ORDER.index(text[17])
    spellings = [text[:17] + ALPHABET_IN_ORDER[last + extra] + "==" for extra in range(1, 16)]
    spellings.append(text.replace("-", "+").replace("_", "/"))
    for spelling in spellings:
        assert base64.b64decode(spelling, altchars=b"-_" if spelling is not spellings[-1] else None) == raw(text)
        with pytest.raises(InvalidConnectionId):
            ids.origin(spelling)


ALPHABET_IN_ORDER = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


@pytest.mark.parametrize(
    "text",
    [
        "", "A", "=" * 20, "A" * 19, "A" * 20, "A" * 21, "A" * 18 + "==", "A" * 19 + "=", "é" * 20, "AAA=" * 5,
        "A" * 17 + "===", " " * 20, "\n" * 20, "!" * 20, "R0oXAdfD0kwCH6w=", "gbgBLm-0jQAYKEhMmA==", "A" * 100_000,
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_not_an_id_is_refused(text):
    with pytest.raises(InvalidConnectionId, match="is not a connection id; expected one"):
        ConnectionIds(KEY).origin(text)


def test_a_refusal_does_not_repeat_a_long_text():
    with pytest.raises(InvalidConnectionId) as caught:
        ConnectionIds(KEY).origin("x" * 10_000)
    assert len(str(caught.value)) < 200


@given(st.text())
def test_any_text_is_an_id_or_refused(text):
    with pytest.raises(InvalidConnectionId):
        ConnectionIds(KEY).origin(text)


@given(st.binary(min_size=13, max_size=13))
def test_random_bytes_are_refused(value):
    with pytest.raises(InvalidConnectionId):
        ConnectionIds(KEY).origin(base64.urlsafe_b64encode(value).decode())


def test_an_id_of_another_key_is_refused():
    with pytest.raises(InvalidConnectionId):
        ConnectionIds(KEY).origin(ConnectionIds(bytes(32)).new())


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"node": -1}, "node is -1; expected 0 to 4095"),
        ({"node": 4096}, "node is 4096; expected 0 to 4095"),
        ({"epoch": -1}, "epoch is -1; expected 0 to 16777215"),
        ({"epoch": 2**24}, "epoch is 16777216; expected 0 to 16777215"),
    ],
)
def test_a_place_out_of_range_is_refused(place, message):
    with pytest.raises(ValueError, match=message):
        ConnectionIds(KEY, **place)


def test_a_message_id_ends_as_its_connections_id():
    connection_id = ConnectionIds(KEY).new()
    made = [message_id(connection_id) for _ in range(100)]
    assert len(set(made)) == 100
    assert {len(text) for text in made} == {20}
    assert {raw(text)[-5:] for text in made} == {raw(connection_id)[-5:]}


def test_a_message_id_is_no_connection_id():
    ids = ConnectionIds(KEY)
    with pytest.raises(InvalidConnectionId):
        ids.origin(message_id(ids.new()))


def test_a_request_id_is_16_characters_of_11_bytes():
    made = [request_id() for _ in range(100)]
    assert len(set(made)) == 100
    assert {(len(text), len(raw(text)), text[-1]) for text in made} == {(16, 11, "=")}


@given(st.text(), st.text())
def test_an_api_id_is_ten_lower_case_characters_of_its_name(one, other):
    assert len(api_id(one)) == 10
    assert set(api_id(one)) <= set(string.ascii_lowercase + string.digits)
    assert (api_id(one) == api_id(other)) == (one == other)


def test_an_api_id_is_the_same_in_every_version():
    assert api_id("socket") == "qser48t8ic"
