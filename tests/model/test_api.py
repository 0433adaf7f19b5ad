"""What a WebSocket API is."""

import dataclasses

import pytest

from trunkline.errors import DeclarationError
from trunkline.model.api import (
    Authorization,
    CompiledApi,
    CompiledAuthorizer,
    CompiledRoute,
    Limits,
    Rate,
    Response,
    execute_arn,
)

NAMES = ["frame_bytes", "message_bytes", "idle_seconds", "lifetime_seconds", "handler_seconds"]


def test_the_default_limits_are_api_gateways():
    assert dataclasses.astuple(Limits()) == (32768, 131072, 600, 7200, 29)
    assert [field.name for field in dataclasses.fields(Limits)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_any_number_above_zero_is_a_limit(name):
    assert getattr(Limits(**{name: 1}), name) == 1
    assert Limits(**{name: 5}) == dataclasses.replace(Limits(), **{name: 5}) != Limits()


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_seconds")])
def test_a_time_may_be_a_fraction_or_endless(name):
    for value in (0.25, float("inf")):
        assert getattr(Limits(**{name: value}), name) == value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value", [0, -1, -0.5, 0.0, float("nan"), float("-inf"), True, False, None, "5", b"5", [5], 1j]
)
def test_what_is_no_number_above_zero_is_refused(name, value):
    with pytest.raises(DeclarationError) as caught:
        Limits(**{name: value})
    assert str(caught.value) == f"limit {name} is {value!r}; expected a number above 0"


def test_limits_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().frame_bytes = 1


def test_a_response():
    plain = Response()
    assert (plain.status, plain.body, plain.headers) == (200, None, {})
    full = Response(403, "no", {"content-type": "text/plain"})
    assert (full.status, full.body, full.headers) == (403, "no", {"content-type": "text/plain"})


async def test_a_compiled_api_has_the_defaults_of_a_socket():
    async def invoke(event):
        return Response(body=event)

    route = CompiledRoute("$default", invoke)
    api = CompiledApi("socket", "api", "socket", None, {"$default": route})
    assert (api.connect, api.disconnect, api.ordered, api.binary, api.limits) == (None, None, True, False, Limits())
    assert route.where == ""
    assert (await api.routes["$default"].invoke("x")).body == "x"
    with pytest.raises(dataclasses.FrozenInstanceError):
        api.ordered = False


def test_an_authorization_is_a_response_that_lets_in_and_lasts():
    plain = Authorization()
    assert isinstance(plain, Response)
    assert (plain.status, plain.body, plain.context, plain.expires_at) == (200, None, {}, None)
    full = Authorization(403, "no", context={"a": "b"}, expires_at=1.5)
    assert (full.status, full.body, full.context, full.expires_at) == (403, "no", {"a": "b"}, 1.5)


async def test_a_compiled_authorizer_asks_for_nothing_but_its_own_opinion():
    async def decide(event):
        return Authorization(context={"said": event})

    authorizer = CompiledAuthorizer(decide)
    assert (authorizer.where, authorizer.identity) == ("", ())
    assert (await authorizer.decide("x")).context == {"said": "x"}


def test_an_api_lets_everyone_in_and_has_the_arn_of_a_made_up_account():
    api = CompiledApi("socket", "api", "socket", None, {})
    assert api.authorizer is None
    assert api.execute_arn == "arn:aws:execute-api:us-east-1:000000000000"


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_an_arn_begins_with_the_partition_of_its_region(region, partition):
    assert execute_arn(region, "111122223333") == f"arn:{partition}:execute-api:{region}:111122223333"


def test_a_rate_is_numbers_from_0():
    assert str(Rate(0.1, 5)) == "0.1/5"
    assert str(Rate(100, 0)) == "100/0"
    assert Rate(1, 2) == Rate(1.0, 2)
    for per_second, burst in ((-1, 1), (1, -1), (float("nan"), 1), (float("inf"), 1)):
        with pytest.raises(DeclarationError, match="expected numbers from 0"):
            Rate(per_second, burst)
