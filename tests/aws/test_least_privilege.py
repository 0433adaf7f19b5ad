"""What a role is allowed, judged by a simulator of IAM: what the words of the program say, and nothing beside it."""

import itertools
from pathlib import Path

import pytest

from trunkline import PermissionDenied, collection, testing, websocket
from trunkline.aws.options import Options
from trunkline.aws.rendering import render_json
from trunkline.aws.template import make_template
from trunkline.resources.permissions import COLLECTION_WORDS, SOCKET_WORDS
from trunkline.templates.physical import Names

GOLDEN = Path(__file__).parent / "golden"
AWS = "eu-central-1:123456789012"


def subsets(words):
    return [chosen for size in range(len(words) + 1) for chosen in itertools.combinations(words, size)]


# Every set of words of a collection, and of a socket, which grants `sending` by itself.
OF_COLLECTION = subsets(COLLECTION_WORDS)
OF_SOCKET = subsets([word for word in SOCKET_WORDS if word != "sending"])
SETS = [(words, OF_SOCKET[number % len(OF_SOCKET)]) for number, words in enumerate(OF_COLLECTION)]
# What each operation asks AWS for.
CALLS = {
    "get": "dynamodb:GetItem", "fetch": "dynamodb:Query", "stream": "dynamodb:Query", "fetch of a subcollection": "dynamodb:Query",
    "fetch of a group": "dynamodb:Query", "set": "dynamodb:PutItem", "create": "dynamodb:PutItem",
    "delete": "dynamodb:DeleteItem", "send": "POST", "broadcast": "POST", "close": "DELETE", "info": "GET",
}  # fmt: skip
NEVER = [
    "dynamodb:Scan", "dynamodb:UpdateItem", "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DescribeTable",
    "dynamodb:DeleteTable", "dynamodb:UpdateTimeToLive", "dynamodb:PartiQLSelect", "dynamodb:ConditionCheckItem",
]  # fmt: skip


def text_of(number):
    words, more = SETS[number]
    return f"""\
from trunkline import collection, websocket

notes = collection("notes").allow({", ".join(map(repr, words))})
others = collection("others")
socket = websocket("live").allow({", ".join(map(repr, more))})

@socket.on("message", route="r{number}")
async def handler(ctx): ...
"""


ELSEWHERE = """\
from trunkline import collection, websocket

others = collection("others").allow("reading")
socket = websocket("elsewhere")

@socket.on("message")
async def handler(ctx): ...
"""


class Matrix:
    """A program with a file for each set of words, and the roles that its template gives them."""

    def __init__(self, roles, names):
        self.roles = roles
        self.names = names

    def table(self, name):
        return f"arn:aws:dynamodb:{AWS}:table/{self.names.name('AWS::DynamoDB::Table', name)}"

    def connection(self, verb, api="LiveApi", stage="live", account=AWS):
        api_id = self.names.name("AWS::ApiGatewayV2::Api", api)
        return f"arn:aws:execute-api:{account}:{api_id}/{stage}/{verb}/@connections/abc="

    def request(self, role, call):
        if ":" in call:
            return role, call, self.table("NotesTable")
        return role, "execute-api:ManageConnections", self.connection(call)


@pytest.fixture
def matrix(on_aws, roles, tmp_path):
    files = {f"f{number}": text_of(number) for number in range(len(SETS))} | {"elsewhere": ELSEWHERE}
    program = on_aws(**files)
    template = make_template(program, Options(), {function.name: "x.zip" for function in program.functions})
    (tmp_path / "stack").mkdir()
    file = tmp_path / "stack" / "template.json"
    file.write_text(render_json(template))
    return Matrix(roles(file), Names("stack", *AWS.split(":"), "aws", "amazonaws.com", lambda _: None))


async def outcomes(words, more):
    """Which operations a program with these words may do here: True, or False for PermissionDenied."""
    notes, socket = collection("notes").allow(*words), websocket("live").allow(*more)

    @socket.on("message")
    async def who(ctx):
        return ctx.req.connection_id

    async with testing.node([socket]) as node:
        client = await node.connect("live")
        await client.send("hello")
        me = await client.receive()
        operations = {
            "get": lambda: notes.doc("a").get(),
            "fetch": lambda: notes.query().fetch(),
            "stream": lambda: all_of(notes.query().stream()),
            "fetch of a subcollection": lambda: notes.doc("a").collection("more").query().fetch(),
            "fetch of a group": lambda: notes.collection("more").query().fetch(),
            "set": lambda: notes.doc("a").set({}),
            "create": lambda: notes.doc("b").create({}),
            "delete": lambda: notes.doc("a").delete(),
            "send": lambda: socket.send(me, "x"),
            "broadcast": lambda: socket.broadcast("x", to=[me]),
            "info": lambda: socket.info(me),
            "close": lambda: socket.close(me),
        }
        return {name: await allowed(operation) for name, operation in operations.items()}


async def all_of(stream):
    return [document async for document in stream]


async def allowed(operation):
    try:
        await operation()
    except PermissionDenied:
        return False
    return True


async def test_each_operation_is_allowed_by_iam_where_it_is_allowed_here(matrix, may):
    asked, expected = [], []
    for number, (words, more) in enumerate(SETS):
        here = await outcomes(words, more)
        assert here.keys() == CALLS.keys()
        asked += [matrix.request(f"F{number}Role", CALLS[operation]) for operation in here]
        expected += here.values()
    assert may(matrix.roles, asked) == expected
    assert {True, False} == set(expected)
    assert len(expected) == len(SETS) * len(CALLS)


async def test_a_role_allows_nothing_that_no_operation_of_its_file_needs(matrix):
    for number, (words, more) in enumerate(SETS):
        here = await outcomes(words, more)
        needed = {CALLS[operation] for operation, is_allowed in here.items() if is_allowed}
        allowed = {
            statement["Resource"].split("/")[2] if ":execute-api:" in statement["Resource"] else action
            for statement in matrix.roles[f"F{number}Role"]["Statement"]
            for action in statement["Action"]
        }
        assert allowed == needed | {"logs:CreateLogStream", "logs:PutLogEvents"}


def test_nothing_is_allowed_on_another_table_or_its_index_or_anywhere_else(matrix, may):
    table = matrix.table("NotesTable")
    elsewhere = [
        matrix.table("OthersTable"), f"{table}2", table.replace("eu-central-1", "eu-west-1"),
        table.replace("123456789012", "210987654321"),
    ]  # fmt: skip
    actions = sorted({call for call in CALLS.values() if ":" in call})
    roles = [f"F{number}Role" for number in range(len(SETS))]
    asked = [(role, action, arn) for role in roles for action in actions for arn in elsewhere]
    asked += [(role, "dynamodb:Query", f"{table}/index/by-name") for role in roles]
    assert not any(may(matrix.roles, asked))


def test_nothing_is_allowed_on_another_api_or_stage_or_account(matrix, may):
    asked = [
        (f"F{number}Role", "execute-api:ManageConnections", arn)
        for number in range(len(SETS))
        for verb in ("POST", "DELETE", "GET")
        for arn in (
            matrix.connection(verb, api="ElsewhereApi"),
            matrix.connection(verb, api="ElsewhereApi", stage="elsewhere"),
            matrix.connection(verb, stage="elsewhere"),
            matrix.connection(verb, stage="live2"),
            matrix.connection(verb, account="eu-west-1:123456789012"),
            matrix.connection(verb, account="eu-central-1:210987654321"),
        )
    ]
    assert not any(may(matrix.roles, asked))


def test_a_file_may_only_reach_what_it_names_itself(matrix, may):
    asked = [
        matrix.request("ElsewhereRole", "dynamodb:GetItem"),
        matrix.request("ElsewhereRole", "POST"),
        ("ElsewhereRole", "dynamodb:GetItem", matrix.table("OthersTable")),
        ("ElsewhereRole", "execute-api:ManageConnections", matrix.connection("POST", "ElsewhereApi", "elsewhere")),
    ]
    assert may(matrix.roles, asked) == [False, False, True, True]


def test_what_no_word_stands_for_is_never_allowed(matrix, may):
    asked = [(f"F{number}Role", action, matrix.table("NotesTable")) for number in range(len(SETS)) for action in NEVER]
    asked += [(f"F{number}Role", "execute-api:Invoke", matrix.connection("POST")) for number in range(len(SETS))]
    assert not any(may(matrix.roles, asked))


def test_a_function_writes_into_its_own_log_and_makes_none(matrix, may):
    group = lambda name: f"arn:aws:logs:{AWS}:log-group:stack-{name}Logs"  # noqa: E731
    asked = [
        ("F0Role", "logs:CreateLogStream", f"{group('F0')}:log-stream:a"),
        ("F0Role", "logs:PutLogEvents", f"{group('F0')}:log-stream:a"),
        ("F0Role", "logs:PutLogEvents", f"{group('F1')}:log-stream:a"),
        ("F0Role", "logs:CreateLogGroup", group("F0")),
        ("F0Role", "logs:GetLogEvents", f"{group('F0')}:log-stream:a"),
    ]
    assert may(matrix.roles, asked) == [True, True, False, False, False]


@pytest.mark.parametrize("name", sorted(file.parent.name for file in GOLDEN.glob("*/template.yaml")))
def test_each_action_of_a_golden_role_is_allowed_on_its_resource(roles, may, name):
    policies = roles(GOLDEN / name / "template.yaml")
    asked = [
        (role, action, statement["Resource"].replace("*", "log-stream:a" if "logs" in action else "abc="))
        for role, policy in policies.items()
        for statement in policy["Statement"]
        for action in statement["Action"]
    ]
    assert may(policies, asked) == [True] * len(asked)
