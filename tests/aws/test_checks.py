"""What AWS would refuse is refused here, with its file and line."""

import pytest

from trunkline.aws.checks import check, check_rates, check_size
from trunkline.aws.options import Options
from trunkline.aws.template import make_template
from trunkline.errors import ConfigurationError, DeclarationError
from trunkline.model.api import Rate

LIMIT_RAISED = "live.py:3: websocket('live') raises limit message_bytes to 1,048,576; API Gateway's is 131,072, and cannot be raised"
PLAIN = """\
from trunkline import Limits, collection, websocket

socket = websocket("live")

@socket.on("message")
async def message(ctx): ...
"""


def with_routes(count, name="route-{}"):
    text = 'from trunkline import websocket\nsocket = websocket("live")\n'
    handler = '@socket.on("message", route=ROUTE)\nasync def f(ctx): ...\n'
    return text + "".join(handler.replace("ROUTE", repr(name.format(number))) for number in range(count))


def with_collections(count, name="c{}"):
    handles = "".join(f'c{n} = collection("{name.format(n)}").allow("reading")\n' for n in range(count))
    return PLAIN + handles


@pytest.fixture
def refused(on_aws):
    """What is refused of a program, a line each."""

    def refuse(limit=None, **files):
        with pytest.raises(DeclarationError) as caught:
            check(on_aws(**files), limit or {})
        return str(caught.value).splitlines()

    return refuse


def template(program):
    return make_template(program, Options(), {function.name: "x.zip" for function in program.functions})


def test_a_plain_program_is_taken(on_aws):
    program = on_aws(live=PLAIN)
    check(program, {})
    check_size(program, template(program))


def test_what_api_gateway_does_not_have_is_named_with_the_line_of_the_programs_folder(refused):
    text = PLAIN.replace('"live")', '"live", binary=True, limits=Limits(message_bytes=1_048_576))')
    assert refused(live=text) == [
        LIMIT_RAISED,
        "live.py:3: websocket('live') has binary=True; API Gateway takes texts only, and closes with 1003",
    ]


def test_a_limit_that_the_settings_raise_is_named(refused):
    (told,) = refused({"idle_seconds": 900}, live=PLAIN)
    assert told.startswith("the setting limit raises idle_seconds to 900;")


@pytest.mark.parametrize("key", ["a*", "?", "*"])
def test_a_route_that_permissions_would_take_for_a_pattern_is_refused(refused, key):
    (told,) = refused(live=with_routes(1, key))
    assert told.startswith(f"live.py:3: route {key!r} has a '*' or '?', which permissions of AWS take for any text")


def test_a_route_of_over_128_characters_is_refused(refused, on_aws):
    check(on_aws(live=with_routes(1, "x" * 128)), {})
    assert refused(live=with_routes(1, "x" * 129)) == ["live.py:3: a route has 129 characters; API Gateway takes 128"]


def test_the_connect_route_that_an_authorizer_needs_counts(refused):
    text = with_routes(300) + "@socket.authorizer()\nasync def decide(ctx): ...\n"
    assert "live.py:2: websocket('live') has 301 routes; API Gateway takes 300" in refused(live=text)


def test_an_environment_of_over_4_kb_is_refused(refused, on_aws):
    check(on_aws(live=with_collections(20)), {})
    told = refused(live=with_collections(30, "c" * 60 + "{}"))
    assert told[0].startswith("live.py:7: live.py uses so many collections and sockets that their names are ")
    assert told[0].endswith(" bytes of environment; Lambda takes 4,096: make it several files")


def test_a_roles_policy_of_over_10240_characters_is_refused(refused):
    (told,) = refused(live=with_collections(55))
    assert told.startswith("live.py:7: live.py asks for so much that its role's policy has 10,")
    assert told.endswith(" characters; IAM takes 10,240: make it several files")


def test_a_function_behind_more_routes_than_its_policy_can_name_is_refused(refused, on_aws):
    check(on_aws(live=with_routes(40)), {})
    (told,) = refused(live=with_routes(80))
    assert told.startswith("live.py:2: live.py is behind 80 routes, and to let each of them call it takes ")
    assert told.endswith(" bytes; Lambda takes 20,480: make it several files")


def test_over_500_resources_are_refused(on_aws):
    handler = '@socket.on("message", route="ROUTE")\nasync def f(ctx): ...\n'
    files = {
        f"part{file}": 'from trunkline import websocket\nsocket = websocket("live")\n'
        + "".join(handler.replace("ROUTE", f"r-{file}-{number}") for number in range(40))
        for file in range(4)
    }
    program = on_aws(**files)
    check(program, {})
    with pytest.raises(
        DeclarationError, match=r"^part0\.py:2: 160 routes and 0 collections are 501 resources"
    ) as caught:
        check_size(program, {"Resources": {str(number): {} for number in range(501)}})
    assert "CloudFormation takes 500" in str(caught.value)
    check_size(program, {"Resources": {str(number): {} for number in range(500)}})


def test_a_template_of_over_a_megabyte_is_refused(on_aws):
    program = on_aws(live=PLAIN)
    with pytest.raises(
        DeclarationError, match=r"^live\.py:3: the template has 1,0.* bytes; CloudFormation takes 1,048,576$"
    ):
        check_size(program, {"Resources": {}, "x": "x" * 1_048_576})


def test_a_rate_of_nothing_is_refused(on_aws):
    program = on_aws(live=with_routes(1, "bid"))
    check_rates(program, {"socket.live": Rate(1, 1), "socket.live.bid": Rate(1, 1), "connects": Rate(1, 1)})
    for name in ("socket.other", "socket.live.bids"):
        with pytest.raises(ConfigurationError, match=f"rate '{name}' is of nothing .* socket.live, socket.live.bid$"):
            check_rates(program, {name: Rate(1, 1)})
