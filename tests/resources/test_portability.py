"""What API Gateway would not take of a program, and where it stands."""

import pytest

from trunkline import DeclarationError, Limits, websocket
from trunkline.model.api import CompiledApi
from trunkline.resources.application import Application
from trunkline.resources.portability import check_for_aws, not_on_aws


def found(*sockets, **limit):
    return list(not_on_aws(Application.of(sockets), limit))


def test_a_plain_program_is_taken():
    assert found(websocket("socket")) == []
    check_for_aws(Application.of([websocket("socket")]), {})


def test_a_raised_limit_is_named_with_its_line():
    socket = websocket("socket", limits=Limits(frame_bytes=65_536))
    (told,) = found(socket)
    assert told == (
        f"{socket.where}: websocket('socket') raises limit frame_bytes to 65,536; API Gateway's is 32,768, and cannot "
        "be raised"
    )
    assert str(socket.where).startswith(f"{__file__}:")


@pytest.mark.parametrize("name", Limits.__dataclass_fields__)
def test_each_limit_is_taken_up_to_api_gateways(name):
    most = getattr(Limits(), name)
    assert found(websocket("socket", limits=Limits(**{name: most}))) == []
    assert found(websocket("socket", limits=Limits(**{name: 1}))) == []
    assert name in found(websocket("socket", limits=Limits(**{name: most + 1})))[0]


def test_binary_is_named_with_its_line():
    socket = websocket("socket", binary=True)
    assert found(socket) == [
        f"{socket.where}: websocket('socket') has binary=True; API Gateway takes texts only, and closes with 1003"
    ]


def test_a_raised_limit_of_the_settings_is_named_once_whatever_sockets_there_are():
    assert found(websocket("one"), websocket("two"), idle_seconds=900.5) == [
        "the setting limit raises idle_seconds to 900.5; API Gateway's is 600, and cannot be raised"
    ]


def test_a_limit_that_the_settings_lower_counts_as_lowered():
    assert found(websocket("socket", limits=Limits(frame_bytes=65_536)), frame_bytes=1024) == []


def test_everything_is_told_at_once():
    one, two = websocket("one", binary=True, limits=Limits(handler_seconds=60)), websocket("two", binary=True)
    with pytest.raises(DeclarationError) as caught:
        check_for_aws(Application.of([one, two]), {"message_bytes": 1_000_000})
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].rpartition("/")[2] for line in lines] == [
        "the setting limit raises message_bytes to 1,000,000; API Gateway's is 131,072, and cannot be raised",
        "test_portability.py", "test_portability.py", "test_portability.py",
    ]  # fmt: skip


def test_the_limits_that_are_compared_with_are_those_of_an_api_that_says_nothing():
    assert CompiledApi("a", "b", "c", None, {}).limits == Limits()
