"""What DynamoDB is asked to leave out."""

from trunkline.stores.base import Filter
from trunkline.stores.dynamodb_conditions import live


def pushed(*filters):
    parameters = live(filters, 5.0)
    return parameters["FilterExpression"].removeprefix("(attribute_not_exists(#e) OR #e > :now)")


def test_a_filter_goes_by_the_places_of_its_field_and_lets_pass_what_is_kept_as_text():
    parameters = live([Filter("a.b", "<", 3)], 5.0)
    assert parameters == {
        "FilterExpression": "(attribute_not_exists(#e) OR #e > :now) AND "
        "(#value.#n1.#n2 < :w1 OR attribute_exists(#json))",
        "ExpressionAttributeNames": {"#e": "expires", "#n1": "a", "#n2": "b", "#value": "value", "#json": "json"},
        "ExpressionAttributeValues": {":now": {"N": "5.0"}, ":w1": {"N": "3"}},
    }


def test_what_dynamodb_may_compare_in_another_way_is_not_asked_of_it():
    for value in ([1], (1,), {"a": 1}, "x" * 1025, float("nan")):
        assert pushed(Filter("a", "==", value)) == ""
    for op in ("<", "<=", ">", ">="):
        assert pushed(Filter("a", op, "a\ue000")) == ""
        assert pushed(Filter("a", op, "é")) != ""
    assert pushed(Filter("a", "startsWith", "a\ue000")) != ""
    assert pushed(Filter(".".join("a" * 25), "==", 1)) == ""


def test_an_expression_does_not_grow_over_what_dynamodb_takes():
    parameters = live([Filter(f"field{number}.of.it", "!=", number) for number in range(200)], 5.0)
    assert len(parameters["FilterExpression"]) < 4096
    assert parameters["FilterExpression"].count(" OR ") + parameters["FilterExpression"].count(" AND ") < 290
