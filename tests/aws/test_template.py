"""A program as a template: the golden ones, what our own loader reads of them, and what each part is like."""

import json
import os
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trunkline.aws.options import Options
from trunkline.aws.template import make_template
from trunkline.model.api import Rate
from trunkline.templates import load_template

GOLDEN = Path(__file__).parent / "golden"
PROGRAMS = runpy.run_path(str(GOLDEN / "make.py"))["PROGRAMS"]
SOCKET = """\
from trunkline import websocket

socket = websocket("live")

@socket.on("message", route="bid")
async def bid(ctx): ...
"""
PARAMETERS = {"region": "eu-central-1", "account": "123456789012"}


@pytest.fixture
def resources(on_aws):
    """The resources of a program's template."""

    def make(*programs, options=None, **files):
        program = on_aws(*programs, **files)
        keys = {function.name: f"{function.name}.zip" for function in program.functions}
        return make_template(program, options or Options(), keys)["Resources"]

    return make


def of_kind(resources, kind):
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == f"AWS::{kind}"}


# The golden ones. After a change: python tests/aws/golden/make.py, and read what it changed.


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_template_is_the_one_that_was_read_through(name):
    code = f"import runpy; print(runpy.run_path('make.py')['made']({name!r}), end='')"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=GOLDEN, capture_output=True, timeout=60, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        assert done.stdout.decode() == (GOLDEN / name / "template.yaml").read_text()


@pytest.fixture(params=PROGRAMS)
def deployment(request, tmp_path):
    """What our own loader reads of a golden template, with zips beside it."""
    template = tmp_path / "template.yaml"
    template.write_text((GOLDEN / request.param / "template.yaml").read_text())
    for file in PROGRAMS[request.param][0]:
        with zipfile.ZipFile(tmp_path / f"{file.stem}-0123456789abcdef.zip", "w") as packed:
            packed.writestr("x.py", "")
    return request.param, load_template(template, {}, **PARAMETERS)


ROUTES = {
    "chat": {"socket": {"$connect": ("Chat", False), "$default": ("Chat", True), "$disconnect": ("Chat", False)}},
    "scores": {
        "admin": {"$default": ("Admin", True), "add": ("Admin", True)},
        "live-scores": {"$connect": ("Scores", False), "$disconnect": ("Scores", False), "score": ("Scores", True)},
    },
    "auction": {
        "auction": {
            "$connect": ("Auction", False), "$default": ("Auction", True), "lot/bid": ("Auction", True),
            "lot/show": ("Auction", True),
        }
    },
}  # fmt: skip


def test_our_own_loader_reads_the_same_routes_of_it(deployment):
    name, read = deployment
    functions = {function.name: function.logical_id.removesuffix("Function") for function in read.functions}
    assert {
        api.stages[0].name: {route.key: (functions[route.integration.function], route.two_way) for route in api.routes}
        for api in read.apis
    } == ROUTES[name]
    assert [len(api.stages) for api in read.apis] == [1] * len(read.apis)


def test_our_own_loader_has_nothing_to_say_of_it_but_that_logs_are_not_written_here(deployment):
    name, read = deployment
    assert [warned.text for warned in read.warnings] == [
        f"the access log of stage {stage} is not written here" for stage in ROUTES[name] if name != "scores"
    ]
    assert {kind for _, kind in read.not_run} == {"AWS::IAM::Role", "AWS::Logs::LogGroup"}


def test_a_function_knows_its_program_and_the_tables_and_sockets_that_it_may_use(deployment):
    name, read = deployment
    functions = {function.logical_id: function.environment for function in read.functions}
    tables = {table.logical_id: table.name for table in read.tables}
    apis = {api.stages[0].name: api.api_id for api in read.apis}
    url = lambda one: f"https://{apis[one]}.execute-api.eu-central-1.amazonaws.com/{one}"  # noqa: E731
    if name == "scores":
        admin = functions["AdminFunction"]
        assert admin["TRUNKLINE_PROGRAM"] == "admin.py"
        assert json.loads(admin["TRUNKLINE_TABLES"]) == {
            "audit.log": tables["AuditLogTable"], "people": tables["PeopleTable"],
        }  # fmt: skip
        assert json.loads(admin["TRUNKLINE_SOCKETS"]) == {one: url(one) for one in ("admin", "live-scores")}
        assert json.loads(functions["ScoresFunction"]["TRUNKLINE_SOCKETS"]) == {"live-scores": url("live-scores")}
    else:
        (environment,) = functions.values()
        assert list(json.loads(environment["TRUNKLINE_TABLES"]).values()) == list(tables.values())
        assert json.loads(environment["TRUNKLINE_SOCKETS"]) == {one: url(one) for one in apis}


def test_the_outputs_are_where_clients_connect(deployment):
    _, read = deployment
    assert list(read.outputs.values()) == [
        f"wss://{api.api_id}.execute-api.eu-central-1.amazonaws.com/{api.stages[0].name}" for api in read.apis
    ]


def test_functions_are_what_the_options_say(deployment):
    name, read = deployment
    options = PROGRAMS[name][1]
    for function in read.functions:
        assert (function.runtime, function.memory_mb, function.seconds) == (options.runtime, options.memory_mb, 29)
        assert function.handler == "trunkline.aws.lambda_handler.handler"


def test_tables_have_the_keys_of_the_store_and_let_documents_expire(deployment):
    _, read = deployment
    for table in read.tables:
        assert table.create["AttributeDefinitions"] == [
            {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "B"},
        ]  # fmt: skip
        assert [key["KeyType"] for key in table.create["KeySchema"]] == ["HASH", "RANGE"]
        assert (table.create["BillingMode"], table.ttl_attribute) == ("PAY_PER_REQUEST", "expires_at")


def test_rates_and_the_authorizer_of_a_socket_are_read_back(deployment):
    name, read = deployment
    if name != "auction":
        assert [api.authorizer for api in read.apis] == [None] * len(read.apis)
        return
    (api,) = read.apis
    assert api.select == "${request.body.kind}/${request.body.action}"
    assert api.authorizer.identity == ("route.request.querystring.token", "route.request.header.Origin")
    assert (api.stages[0].rate, api.stages[0].route_rates) == (Rate(100, 200), {"lot/bid": Rate(2.5, 5)})
    assert {route.integration.seconds for route in api.routes} == {5}


# What each part is like.


def test_every_resource_says_what_it_is_and_which_line_it_comes_from(resources):
    made = resources(live=SOCKET)
    assert [name for name, one in made.items() if not one["Metadata"]["Comment"]] == []
    assert made["LiveBidRoute"]["Metadata"]["Comment"] == "bid, live.py:5"
    assert made["LiveApi"]["Metadata"]["Comment"].endswith(", live.py:3")


def test_a_deployment_has_another_name_when_what_it_deploys_changes_and_not_when_lines_move(resources):
    def deployment(text, **options):
        return list(of_kind(resources(live=text, options=Options(**options)), "ApiGatewayV2::Deployment"))

    one = deployment(SOCKET)
    assert one == deployment(f"\n\n{SOCKET}")
    assert one == deployment(SOCKET, memory_mb=512)
    assert one != deployment(SOCKET.replace('"bid"', '"bids"'))
    assert one != deployment(SOCKET.replace('"live")', '"live", select="$request.body.kind")'))


def test_an_authorizer_without_a_connect_handler_is_asked_all_the_same(resources):
    text = f"{SOCKET}\n@socket.authorizer()\nasync def decide(ctx): ...\n"
    routes = {one["RouteKey"]: one for one in of_kind(resources(live=text), "ApiGatewayV2::Route").values()}
    assert routes["$connect"]["AuthorizationType"] == "CUSTOM"
    assert routes["$connect"]["AuthorizerId"] == {"Ref": "LiveAuthorizer"}
    assert routes["bid"]["AuthorizationType"] == "NONE"


def test_without_identity_sources_an_authorizer_has_none(resources):
    text = f"{SOCKET}\n@socket.authorizer()\nasync def decide(ctx): ...\n"
    (authorizer,) = of_kind(resources(live=text), "ApiGatewayV2::Authorizer").values()
    assert "IdentitySource" not in authorizer


def test_names_that_come_to_the_same_are_numbered(resources):
    more = "".join(
        f'@socket.on("message", route={key!r})\nasync def f{n}(ctx): ...\n'
        for n, key in enumerate(["a-b", "a_b", "a.b", "é", "connect", "authorizer"])
    )
    connect = '@socket.on("connect")\nasync def c(ctx): ...\n@socket.authorizer()\nasync def d(ctx): ...\n'
    made = resources(live=f"{SOCKET}\n{more}{connect}")
    keys = {name: one["RouteKey"] for name, one in of_kind(made, "ApiGatewayV2::Route").items()}
    assert keys == {
        "LiveConnectRoute": "$connect", "LiveABRoute": "a-b", "LiveAB2Route": "a.b", "LiveAB3Route": "a_b", "LiveAuthorizer2Route": "authorizer",
        "LiveBidRoute": "bid", "LiveConnect2Route": "connect", "LiveOtherRoute": "é",
    }  # fmt: skip


def test_names_of_two_sockets_that_come_to_the_same_are_numbered(resources):
    other = 'other = websocket("live-bid")\n@other.on("message", route="x")\nasync def g(ctx): ...\n'
    more = '@socket.on("message", route="bid-x")\nasync def f(ctx): ...\n'
    made = resources(
        "live.py", "live_access.py", live=f"{SOCKET}{more}", live_access=f"from trunkline import websocket\n{other}"
    )
    assert "LiveBidXRoute" in made
    assert "LiveBidX2Route" in made
    assert made["LiveAccessLogs"]["Metadata"]["Comment"] == "what live_access.py logs"
    assert made["LiveAccess2Logs"]["Metadata"]["Comment"] == "a line for each request to live"


def test_a_route_key_that_looks_like_a_reference_is_taken_as_it_is(resources):
    made = resources(live=SOCKET.replace('"bid"', '"x${AWS::Region}"'))
    source = made["LiveXAWSRegionPermission"]["Properties"]["SourceArn"]["Fn::Sub"]
    assert source.endswith("${LiveApi}/live/x${!AWS::Region}")


def test_tables_stay_unless_they_are_to_go(resources):
    text = f'{SOCKET}\nfrom trunkline import collection\nnotes = collection("notes")\n'
    kept = resources(live=text)["NotesTable"]
    gone = resources(live=text, options=Options(keep_tables=False))["NotesTable"]
    assert [(one["DeletionPolicy"], one["UpdateReplacePolicy"]) for one in (kept, gone)] == [
        ("Retain", "Retain"), ("Delete", "Delete"),
    ]  # fmt: skip


def test_recovery_and_the_access_log_are_options(resources):
    text = f'{SOCKET}\nfrom trunkline import collection\nnotes = collection("notes")\n'
    plain, other = (
        resources(live=text, options=Options(**options))
        for options in ({}, {"point_in_time_recovery": True, "access_log": False})
    )
    assert "PointInTimeRecoverySpecification" not in plain["NotesTable"]["Properties"]
    assert other["NotesTable"]["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert [list(of_kind(one, "Logs::LogGroup")) for one in (plain, other)] == [
        ["LiveLogs", "LiveAccessLogs"], ["LiveLogs"],
    ]  # fmt: skip
    assert "AccessLogSettings" not in other["LiveStage"]["Properties"]


def test_a_handlers_shorter_time_is_api_gateways_timeout(resources):
    limited = SOCKET.replace('"live")', '"live", limits=Limits(handler_seconds=SECONDS))').replace(
        "import", "import Limits,"
    )
    for seconds, milliseconds in (("2.5", 2500), ("0.001", 50), ("29", 29_000)):
        (integration,) = of_kind(
            resources(live=limited.replace("SECONDS", seconds)), "ApiGatewayV2::Integration"
        ).values()
        assert integration["TimeoutInMillis"] == milliseconds
