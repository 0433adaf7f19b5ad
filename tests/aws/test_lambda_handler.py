"""What Lambda calls, in processes of its own: what starting costs, what the log tells, and a chat behind AWS's runtime."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import websockets
from websockets.exceptions import InvalidStatus

from trunkline.aws.carried import carried

NODE_MODULES = Path(__file__).parents[2] / ".venv" / "node" / "node_modules"
SECONDS = 20
PROGRAM = """
import trunkline
from trunkline import websocket

socket = websocket("socket")

@socket.on("message")
async def message(ctx):
    if ctx.req.data == "fail":
        raise ValueError("why")
    return ctx.req.data.upper()
"""
LIFESPAN = """
@trunkline.lifespan
async def life():
    print("entered")
    yield
    print("left")
"""
EVENT = {
    "requestContext": {
        "routeKey": "$default", "messageId": "gbgBLq-08QAYKEhMmA==", "eventType": "MESSAGE", "stage": "socket",
        "connectedAt": 1790294513979, "identity": {"sourceIp": "127.0.0.1"}, "requestId": "EOn94FuooAMEdJg=",
        "domainName": "localhost", "connectionId": "gbgBLm-0jQAYKEhMmA==", "apiId": "06dsnuqv44",
    },
    "body": "hello",
    "isBase64Encoded": False,
}  # fmt: skip
# As Lambda's runtime does it; nothing is at hand but the zip and the standard library.
RUN = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
class Context:
    def get_remaining_time_in_millis(self):
        return 29_000
began = time.perf_counter()
from trunkline.aws.lambda_handler import handler
seconds = time.perf_counter() - began
answers = [handler(event, Context()) for event in json.load(sys.stdin)]
print(json.dumps({"seconds": seconds, "answers": answers, "modules": sorted(sys.modules)}))
"""
SERVERS = [
    "boto3", "botocore", "uvloop", "httptools", "typer", "click", "rich", "prompt_toolkit", "watchfiles", "websockets",
    "sqlite3", "yaml", "samtranslator", "trunkline.gateway", "trunkline.runtime", "trunkline.config",
    "trunkline.cli", "trunkline.testing", "trunkline.templates", "trunkline.functions", "trunkline.stores.dynamodb",
    "trunkline.stores.sqlite", "trunkline.aws.template", "trunkline.model.policies",
]  # fmt: skip


@pytest.fixture(scope="module")
def carried_folder(tmp_path_factory):
    """What is in a function's zip beside its program."""
    folder = tmp_path_factory.mktemp("zip")
    for entry in carried():
        file = folder / entry.name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(entry.path, file)
    shutil.copytree(Path(msgspec.__file__).parent, folder / "msgspec")
    return folder


@pytest.fixture
def start(carried_folder, tmp_path):
    """Start a function of a program, hand it events, and wait for its end."""

    def start(program=PROGRAM, *events, check=True, **environment):
        (tmp_path / "program.py").write_text(program)
        given = {"TRUNKLINE_PROGRAM": "program.py", "LAMBDA_TASK_ROOT": str(tmp_path)} | environment
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", RUN, str(carried_folder)],
            input=json.dumps(events), capture_output=True, text=True, timeout=60, check=check, cwd=tmp_path,
            env={name: value for name, value in given.items() if value is not None},
        )  # fmt: skip
        return done

    return start


def said(done):
    return json.loads(done.stdout.splitlines()[-1])


# What starting costs.


def test_a_function_starts_with_msgspec_alone_and_without_what_only_some_need(start):
    told = said(start(PROGRAM, EVENT))
    assert told["answers"] == [{"statusCode": 200, "body": "HELLO"}]
    assert {"msgspec", "trunkline.aws.lambda_program"} <= set(told["modules"])
    assert [name for name in SERVERS if name in told["modules"]] == []


def test_starting_takes_less_than_150_milliseconds(start):
    assert min(said(start())["seconds"] for _ in range(7)) < 0.15


def test_a_module_is_a_program_as_well_as_a_file(start):
    done = start(PROGRAM, EVENT, TRUNKLINE_PROGRAM="program")
    assert said(done)["answers"][0]["body"] == "HELLO"


# What the log tells.


def test_a_cold_start_is_a_line_and_a_warm_one_none(start):
    done = start(PROGRAM + LIFESPAN, EVENT, EVENT, EVENT)
    assert [answer["body"] for answer in said(done)["answers"]] == ["HELLO"] * 3
    (line,) = done.stderr.splitlines()
    assert re.search(
        r"INFO trunkline.aws: cold start: program.py was loaded in \d+ ms, and its lifespans were entered in \d+ ms$",
        line,
    )
    assert done.stdout.splitlines()[:-1] == ["entered"]


def test_it_is_silent_if_the_functions_log_level_says_so(start):
    assert start(PROGRAM, EVENT, AWS_LAMBDA_LOG_LEVEL="WARN").stderr == ""


def test_an_error_is_told_whole_before_it_is_raised(start):
    done = start(PROGRAM, EVENT | {"body": "fail"}, check=False)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    error = next(n for n, line in enumerate(lines) if "ERROR trunkline.handlers: the handler of $default at " in line)
    assert lines[error + 1] == "    Traceback (most recent call last):"
    assert lines[error + 4] == "    ValueError: why"
    assert lines[-1].startswith("trunkline.aws.lambda_program.HandlerFailed: route '$default' at ")


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"TRUNKLINE_PROGRAM": None}, "TRUNKLINE_PROGRAM is not set; expected the program's file, such as chat.py"),
        ({"TRUNKLINE_PROGRAM": "chat.py"}, ".*chat.py does not exist; expected a Python file such as chat.py"),
        ({"TRUNKLINE_PROGRAM": "chat"}, "there is no file or module 'chat'; expected a path such as chat.py"),
        ({"TRUNKLINE_TABLES": "{"}, "TRUNKLINE_TABLES is no JSON object of texts: "),
        ({"TRUNKLINE_TABLES": '{"a": 1}'}, r"TRUNKLINE_TABLES is no JSON object of texts: Expected `str`, got `int`"),
        ({"TRUNKLINE_SOCKETS": "[]"}, "TRUNKLINE_SOCKETS is no JSON object of texts: Expected `object`, got `array`"),
    ],
)
def test_a_wrong_environment_is_one_line_and_the_end(start, environment, why):
    done = start(PROGRAM, check=False, **environment)
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert re.search(f"ERROR trunkline.aws: the function cannot start: {why}", first)
    assert re.match(f"trunkline.errors.ConfigurationError: {why}", last)


def test_a_program_that_declares_no_socket_cannot_start(start):
    done = start("x = 1\n", check=False)
    assert "ERROR trunkline.aws: the function cannot start: " in done.stderr.splitlines()[0]
    assert "program.py declares no websocket; expected at least one" in done.stderr.splitlines()[0]


def test_a_program_that_raises_is_told_with_its_own_traceback(start):
    done = start("def f():\n    import nowhere\nf()\n", check=False)
    assert done.returncode == 1
    line, *below = done.stderr.splitlines()
    assert re.search("ERROR trunkline.aws: the function cannot start: program.py raised ModuleNotFoundError: No module "
                     "named 'nowhere'$", line)  # fmt: skip
    assert below[0] == "    Traceback (most recent call last):"
    assert re.fullmatch(r'      File ".*program.py", line 3, in <module>', below[1])
    assert "    ModuleNotFoundError: No module named 'nowhere'" in below
    assert done.stderr.splitlines()[-1].endswith("program.py raised ModuleNotFoundError: No module named 'nowhere'")


# Behind AWS's own runtime client.

CHAT = """
from trunkline import collection, websocket

connections = collection("connections").allow("reading", "writing", "deleting")
socket = websocket("socket").allow("closing", "inspecting")

@socket.on("connect")
async def connect(ctx):
    if ctx.req.query.get("name") == "nobody":
        return ctx.res.reject(403, "who are you?")
    await connections.doc(ctx.req.connection_id).set({"name": ctx.req.query["name"]})

@socket.on("disconnect")
async def disconnect(ctx):
    await connections.doc(ctx.req.connection_id).delete()
    print("left with", ctx.req.close_code, ctx.req.close_reason)

@socket.on("message")
async def message(ctx):
    name = (await connections.doc(ctx.req.connection_id).get())["name"]
    await socket.broadcast(f"{name}: {ctx.req.data}", to=connections.query().stream(), exclude=ctx.req.connection_id)

@socket.on("message", route="ask")
async def ask(ctx):
    info = await socket.info(ctx.req.connection_id)
    names = [document.content["name"] async for document in connections.query().stream()]
    return {"names": sorted(names), "url": socket.url(), "address": info.source_ip}

@socket.on("message", route="fail")
async def fail(ctx):
    raise ValueError("why")
"""
ROUTES = {"Connect": "$connect", "Disconnect": "$disconnect", "Default": "$default", "Ask": "ask", "Fail": "fail"}


def template():
    """By hand, as `trunkline synth` would not write it: JSON, and one integration."""
    sub = {
        "Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${ChatFunction.Arn}/invocations"
    }
    endpoint = '{"socket": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/socket"}'
    variables = {
        "TRUNKLINE_PROGRAM": "chat.py",
        "TRUNKLINE_TABLES": {"Fn::Sub": '{"connections": "${Table}"}'},
        "TRUNKLINE_SOCKETS": {"Fn::Sub": endpoint},
    }
    resources = {
        "Table": ("DynamoDB::Table", {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "B"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        }),
        "ChatFunction": ("Lambda::Function", {
            "Runtime": f"python3.{sys.version_info.minor}", "Handler": "trunkline.aws.lambda_handler.handler", "Code": "code",
            "Role": "arn:aws:iam::123456789012:role/chat", "Timeout": 29, "MemorySize": 256,
            "Environment": {"Variables": variables},
        }),
        "Api": ("ApiGatewayV2::Api", {
            "Name": "socket", "ProtocolType": "WEBSOCKET", "RouteSelectionExpression": "$request.body.action",
        }),
        "Integration": ("ApiGatewayV2::Integration", {
            "ApiId": {"Ref": "Api"}, "IntegrationType": "AWS_PROXY", "IntegrationUri": sub,
        }),
        "Deployment": ("ApiGatewayV2::Deployment", {"ApiId": {"Ref": "Api"}}),
        "Stage": ("ApiGatewayV2::Stage", {
            "ApiId": {"Ref": "Api"}, "StageName": "socket", "DeploymentId": {"Ref": "Deployment"},
        }),
    }  # fmt: skip
    for name, key in ROUTES.items():
        two_way = {} if key in {"$connect", "$disconnect"} else {"RouteResponseSelectionExpression": "$default"}
        route = {"ApiId": {"Ref": "Api"}, "RouteKey": key, "Target": {"Fn::Sub": "integrations/${Integration}"}}
        resources[f"{name}Route"] = ("ApiGatewayV2::Route", route | two_way)
        if two_way:
            response = {"ApiId": {"Ref": "Api"}, "RouteId": {"Ref": f"{name}Route"}, "RouteResponseKey": "$default"}
            resources[f"{name}RouteResponse"] = ("ApiGatewayV2::RouteResponse", response)
    return {"Resources": {name: {"Type": f"AWS::{kind}", "Properties": how} for name, (kind, how) in resources.items()}}


async def converse(url):
    async def heard(client):
        return await asyncio.wait_for(client.recv(), SECONDS)

    with pytest.raises(InvalidStatus) as refused:
        await websockets.connect(f"{url}?name=nobody", open_timeout=SECONDS)
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"who are you?")
    async with (
        websockets.connect(f"{url}?name=Ann", open_timeout=SECONDS) as ann,
        websockets.connect(f"{url}?name=Ben", open_timeout=SECONDS) as ben,
    ):
        for sender, receiver, name in ((ann, ben, "Ann"), (ben, ann, "Ben"), (ann, ben, "Ann")):
            await sender.send("hello, wörld 🌍")
            assert await heard(receiver) == f"{name}: hello, wörld 🌍"
        await ann.send('{"action": "ask"}')
        told = json.loads(await heard(ann))
        assert (told["names"], told["address"]) == (["Ann", "Ben"], "127.0.0.1")
        assert re.fullmatch(r"wss://\w{10}\.execute-api\.us-east-1\.amazonaws\.com/socket", told["url"])
        await ben.send('{"action": "fail"}')
        assert json.loads(await heard(ben))["message"] == "Internal server error"
        await ben.close(4001, "lunch")
        for _ in range(100):
            await ann.send('{"action": "ask"}')
            if json.loads(await heard(ann))["names"] == ["Ann"]:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("Ben has left and is still there")


def test_a_program_runs_as_a_function_and_its_clients_talk(carried_folder, tmp_path, run_trunkline):
    shutil.copytree(carried_folder, tmp_path / "code")
    (tmp_path / "code" / "chat.py").write_text(CHAT)
    (tmp_path / "template.json").write_text(json.dumps(template()))
    running = run_trunkline(tmp_path / "template.json", "--node-modules", NODE_MODULES, clean=False)
    asyncio.run(converse(f"ws://127.0.0.1:{running.port}/socket"))
    code, out, err = running.stop()
    assert code == 0
    lines = [line.removeprefix("ChatFunction | ") for line in out.splitlines()]
    colds = [line for line in lines if "cold start: chat.py was loaded in" in line]
    assert colds, out
    assert all(re.match(r"\[INFO\]\s+[\d-]{10}T[\d:.]+Z\s+[\da-f-]{36}\s", line) for line in colds), (
        "as Lambda writes it"
    )
    failed = next(n for n, line in enumerate(lines) if "the handler of fail at" in line)
    assert [line.strip() for line in lines[failed + 1 : failed + 5 : 3]] == [
        "Traceback (most recent call last):",
        "ValueError: why",
    ]
    assert "left with 4001 lunch" in lines
    (line,) = err.splitlines()
    assert re.search(
        r"the function \S+ failed: HandlerFailed: route 'fail' at \S+ raised ValueError; the log above", line
    )


def test_a_program_that_cannot_be_loaded_is_told_in_lambdas_log_and_lets_nobody_in(
    carried_folder, tmp_path, run_trunkline
):
    shutil.copytree(carried_folder, tmp_path / "code")
    (tmp_path / "code" / "chat.py").write_text("import nowhere\n")
    (tmp_path / "template.json").write_text(json.dumps(template()))
    running = run_trunkline(tmp_path / "template.json", "--node-modules", NODE_MODULES, clean=False)
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(connect_to(f"ws://127.0.0.1:{running.port}/socket"))
    assert refused.value.response.status_code == 502
    _, out, err = running.stop()
    why = "chat.py raised ModuleNotFoundError: No module named 'nowhere'"
    assert f"the function cannot start: {why}" in out
    assert f"failed: ProgramFailed: {why}" in err, "Lambda's own error of a start"


async def connect_to(url):
    await websockets.connect(url, open_timeout=SECONDS)
