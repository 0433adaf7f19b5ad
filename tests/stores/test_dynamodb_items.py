"""Keys and attributes, as anybody who looks into a table sees them."""

import pytest

from trunkline.stores.dynamodb_items import item_of, key_of, partitions_of, plain


def test_an_item_is_read_without_this_program():
    item = item_of(("people",), "anne", '{"age":30,"tags":["a",null,true,2.5]}', 7, 1234.5)
    assert item == {
        "pk": {"S": "d6"},
        "sk": {"B": b"anne"},
        "id": {"S": "anne"},
        "version": {"N": "7"},
        "value": {"M": {"age": {"N": "30"}, "tags": {"L": [{"S": "a"}, {"NULL": True}, {"BOOL": True}, {"N": "2.5"}]}}},
        "expires": {"N": "1234.5"},
        "expires_at": {"N": "1235"},
    }


def test_a_document_below_another_is_in_the_partition_of_that_one():
    item = item_of(("people", "anne", "notes"), "1", "1", 7, None)
    assert (item["pk"], item["sk"]) == ({"S": "s6/notes"}, {"B": b"anne\x001"})
    assert item["parent"] == {"S": "anne"}
    assert plain(("people", "", "notes"), item).path == ("people", "anne", "notes")


def test_documents_are_spread_over_eight_partitions():
    keys = {key_of(("people",), str(number))["pk"]["S"] for number in range(100)}
    assert sorted(keys) == partitions_of(("people",)) == [f"d{shard}" for shard in range(8)]
    assert partitions_of(("people",), "notes") == [f"s{shard}/notes" for shard in range(8)]
    assert partitions_of(("people", "anne", "notes")) == ["s6/notes"]


@pytest.mark.parametrize("size", [1021, 1022, 1023, 1024])
def test_a_key_that_is_cut_is_longer_than_any_that_is_not(size):
    sk = key_of(("people", "a", "notes"), "x" * size)["sk"]["B"]
    assert (len(sk) < 1024 and sk == b"a\0" + b"x" * size) == (size < 1022)
    assert len(sk) <= 1024


def test_a_key_that_is_cut_is_of_its_document_alone():
    keys = [key_of(("people", "a" * 1000, "notes"), f"{'x' * 1000}{n}")["sk"]["B"] for n in range(100)]
    assert len(set(keys)) == 100
    assert {len(key) for key in keys} == {1024}


@pytest.mark.parametrize(
    ("text", "number"),
    [("1E+2", 100), ("100", 100), ("1.50", 1.5), ("9" * 38, 10**38 - 1), ("1" + "0" * 38, 1e38), ("1E-130", 1e-130)],
)
def test_a_number_comes_back_as_it_was_written_however_dynamodb_spells_it(text, number):
    item = item_of(("x",), "1", "1", 7, None) | {"value": {"N": text}}
    found = plain(("x",), item).value
    assert (found, type(found)) == (number, type(number))
