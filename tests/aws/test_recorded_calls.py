"""Every call to AWS that a program's operations really make is allowed by its role, there and nowhere else."""

import secrets
import textwrap

import boto3
import pytest
from websockets.sync.client import connect

from trunkline.aws.lambda_node import LambdaNode
from trunkline.aws.options import Options
from trunkline.aws.rendering import render_json
from trunkline.aws.template import make_template
from trunkline.resources.context import running_node
from trunkline.templates.physical import Names
from trunkline.testing.plugin import run_test

AWS = "eu-central-1:123456789012"
KEEPER = """
from trunkline import collection, websocket

notes = collection("notes").allow("reading", "writing", "deleting")
live = websocket("live").allow("closing", "inspecting")

@live.on("message")
async def who(ctx):
    return ctx.req.connection_id
"""
VERBS = {"PostToConnection": "POST", "GetConnection": "GET", "DeleteConnection": "DELETE"}


@pytest.fixture
def calls(monkeypatch):
    """The calls that clients of boto3 make from now on: service, operation and parameters."""
    made = []
    session_of = boto3.Session

    def recorded(*arguments, **options):
        session = session_of(*arguments, **options)
        session.events.register(
            "provide-client-params.*.*",
            lambda params, model, **_: made.append((model.service_model.service_name, model.name, dict(params))),
        )
        return session

    monkeypatch.setattr(boto3, "Session", recorded)
    return made


class Role:
    """The role of a program of one file, and the ARNs of what its template makes."""

    def __init__(self, policies):
        (self.name,) = policies
        self.policies = policies
        self.names = Names("stack", *AWS.split(":"), "aws", "amazonaws.com", lambda _: None)

    @property
    def actions(self):
        """What it allows, each with its verb where that is part of the resource."""
        for statement in self.policies[self.name]["Statement"]:
            for action in statement["Action"]:
                verb = statement["Resource"].split("/")[2] if action.startswith("execute-api:") else ""
                yield f"{action} {verb}".rstrip()

    def asked(self, call, *, api="LiveApi", stage="live", table="NotesTable"):
        """The question to IAM that a call is."""
        service, operation, _ = call
        if service == "dynamodb":
            name = self.names.name("AWS::DynamoDB::Table", table)
            return self.name, f"dynamodb:{operation}", f"arn:aws:dynamodb:{AWS}:table/{name}"
        api_id = self.names.name("AWS::ApiGatewayV2::Api", api)
        arn = f"arn:aws:execute-api:{AWS}:{api_id}/{stage}/{VERBS[operation]}/@connections/abc="
        return self.name, "execute-api:ManageConnections", arn

    def allowed_as(self, call):
        _, action, arn = self.asked(call)
        return f"{action} {arn.split('/')[2]}" if action.startswith("execute-api:") else action


@pytest.fixture
def role(on_aws, roles, tmp_path):
    program = on_aws(keeper=KEEPER)
    template = make_template(program, Options(), {"Keeper": "x.zip"})
    (tmp_path / "stack").mkdir()
    file = tmp_path / "stack" / "template.json"
    file.write_text(render_json(template))
    return Role(roles(file))


@pytest.fixture
def home(dynamodb, run_trunkline, tmp_path, monkeypatch, role):
    """A function's node: tables in a DynamoDB, and connections behind a gateway; with the ids of two clients."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb)
    for name, value in (("ACCESS_KEY_ID", "AKIATEST"), ("SECRET_ACCESS_KEY", "none"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    prefix = f"{secrets.token_hex(6)}-"
    running = run_trunkline(
        tmp_path / "keeper.py", "--store", f"dynamodb://us-east-1/{prefix}?endpoint={dynamodb}", clean=False
    )
    stage = f"127.0.0.1:{running.port}/live"
    node = LambdaNode({"notes": f"{prefix}notes"}, {"live": f"http://{stage}"})
    with connect(f"ws://{stage}") as ann, connect(f"ws://{stage}") as ben:
        ids = []
        for client in (ann, ben):
            client.send("who am I?")
            ids.append(client.recv(timeout=10))
        yield node, ids
    node.connections.shut()


async def use_everything(program, ann, ben):
    """Each operation that the words of the program allow."""
    notes, live = program["notes"], program["live"]
    await notes.doc("a").set({"n": 1})
    await notes.doc("b").create({"n": 2}, expires_in=60)
    await notes.doc("a").set({"n": 3}, if_version=(await notes.doc("a").fetch()).version)
    assert await notes.doc("a").get() == {"n": 3}
    assert [one.id for one in (await notes.query().where("n", ">", 1).limit(5).fetch()).documents] == ["a", "b"]
    await notes.doc("a").collection("more").doc("x").set({})
    assert [one.id async for one in notes.doc("a").collection("more").query().stream()] == ["x"]
    assert [one.id async for one in notes.collection("more").query().stream()] == ["x"]
    await notes.doc("a").delete()
    assert await live.send(ann, "hello")
    assert (await live.broadcast("hello", to=[ann, ben])).sent == 2
    assert await live.info(ann) is not None
    assert await live.close(ben)


def test_every_call_is_allowed_and_the_same_elsewhere_is_denied_and_nothing_is_allowed_that_was_not_used(
    home, calls, role, may, tmp_path
):
    node, ids = home
    program = {}
    exec(compile(textwrap.dedent(KEEPER), str(tmp_path / "keeper.py"), "exec"), program)

    async def life():
        await node.open()
        token = running_node.set(node)
        try:
            await use_everything(program, *ids)
        finally:
            running_node.reset(token)
            await node.store.close()

    run_test(life, {})
    assert len(calls) > 12
    assert all(may(role.policies, [role.asked(call) for call in calls]))
    for elsewhere in ({"table": "OthersTable", "api": "OtherApi"}, {"table": "NotesTable2", "stage": "other"}):
        assert not any(may(role.policies, [role.asked(call, **elsewhere) for call in calls]))
    used = {role.allowed_as(call) for call in calls}
    assert used == {action for action in role.actions if not action.startswith("logs:")}


def test_what_is_recorded_is_about_the_functions_own_tables_alone(home, calls, tmp_path):
    node, ids = home
    program = {}
    exec(compile(textwrap.dedent(KEEPER), str(tmp_path / "keeper.py"), "exec"), program)

    async def life():
        await node.open()
        running_node.set(node)
        await use_everything(program, *ids)
        await node.store.close()

    run_test(life, {})
    tables = {params["TableName"] for service, _, params in calls if service == "dynamodb"}
    assert len(tables) == 1
    assert {params["ConnectionId"] for service, _, params in calls if service != "dynamodb"} == set(ids)
