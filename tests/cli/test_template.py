"""`trunkline run template.yaml`: served, spoken to, changed, and told to stop, as a process."""

import contextlib
import json
import shlex
import signal
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
from rich.console import Console
from websockets.sync.client import connect

from trunkline.cli.template import _watch

TEMPLATE = """
    AWSTemplateFormatVersion: "2010-09-09"
    Transform: AWS::Serverless-2016-10-31
    Parameters:
      Word: {Type: String, Default: first}
    Resources:
      Talk:
        Type: AWS::Serverless::Function
        Properties:
          Runtime: python3.11
          Handler: app.handler
          CodeUri: code/
          Environment: {Variables: {WORD: !Ref Word}}
      Queue: {Type: AWS::SQS::Queue}
      Socket:
        Type: AWS::Serverless::WebSocketApi
        Properties:
          StageName: dev
          RouteSelectionExpression: $request.body.action
          Routes:
            $default: {FunctionArn: !GetAtt Talk.Arn}
"""
CODE = """
    import os
    import boto3

    def handler(event, context):
        print("asked for", event["body"])
        where = event["requestContext"]
        api = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
        api.post_to_connection(ConnectionId=where["connectionId"], Data=f"{os.environ['WORD']} {event['body']}".encode())
        return {"statusCode": 200}
"""


@pytest.fixture
def application(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text(textwrap.dedent(CODE))
    template = tmp_path / "template.yaml"
    template.write_text(textwrap.dedent(TEMPLATE))
    return template


def said(running, text):
    with connect(running.url("socket")) as client:
        client.send(text)
        return client.recv(timeout=20)


def test_a_function_is_asked_and_calls_back(application, run_trunkline):
    running = run_trunkline(application)
    assert said(running, "hello") == "first hello"
    assert "Queue (AWS::SQS::Queue)" in next(line for line in running.banner if line.startswith("not run here"))
    code, out, err = running.stop()
    assert (code, err) == (0, "")
    assert "Talk | asked for hello" in out


def test_a_parameter_is_given(application, run_trunkline):
    assert said(run_trunkline(application, "--parameter", "Word=second"), "hello") == "second hello"


def its_code_is_followed(application, running):
    with connect(running.url("socket")) as client:
        client.send("one")
        assert client.recv(timeout=20) == "first one"
        code = application.parent / "code" / "app.py"
        code.write_text(code.read_text().replace("os.environ['WORD']", "'new'"))
        running.says("app.py changed: Talk run anew")
        client.send("two")
        assert client.recv(timeout=20) == "new two"


def test_a_change_of_its_code_is_taken_up_by_the_next_invocation(application, run_trunkline):
    running = run_trunkline(application)
    its_code_is_followed(application, running)


def test_code_above_the_template_is_run_and_followed_where_its_folder_is_named(application, run_trunkline):
    folder = application.parent / "infrastructure"
    folder.mkdir()
    template = folder / "template.yaml"
    template.write_text(application.read_text().replace("CodeUri: code/", "CodeUri: ../code"))
    running = run_trunkline(template, "--code-root", application.parent)
    its_code_is_followed(application, running)


def test_what_another_stack_exports_is_given(application, run_trunkline):
    application.write_text(application.read_text().replace("!Ref Word}", "!ImportValue words-Word}"))
    assert said(run_trunkline(application, "--import-value", "words-Word=third"), "hello") == "third hello"


def test_a_change_of_the_template_is_deployed_under_open_connections(application, run_trunkline):
    running = run_trunkline(application)
    with connect(running.url("socket")) as client:
        client.send("one")
        assert client.recv(timeout=20) == "first one"
        application.write_text(application.read_text().replace("Default: first", "Default: later"))
        running.says("template.yaml changed: deployed anew, connections stay")
        client.send("two")
        assert client.recv(timeout=20) == "later two"


INTEGRATIONS = """
    Parameters:
      Server: {Type: String, Default: "http://${stageVariables.host}/x?key=secret"}
    Resources:
      Socket:
        Type: AWS::ApiGatewayV2::Api
        Properties: {Name: socket, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
      Stage:
        Type: AWS::ApiGatewayV2::Stage
        Properties: {ApiId: !Ref Socket, StageName: dev, StageVariables: {host: a.test}}
      Fn:
        Type: AWS::Lambda::Function
        Properties: {FunctionName: mean, Code: {ZipFile: x = 1}, Handler: index.x, Runtime: python3.11}
"""
INTEGRATION = """\
  {name}:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {{ApiId: !Ref Socket, {properties}}}
  {name}Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Socket, RouteKey: {key}, Target: !Sub 'integrations/${{{name}}}'}}
"""


def test_the_banner_says_what_is_behind_each_route(tmp_path, run_trunkline):
    text = textwrap.dedent(INTEGRATIONS)
    for name, key, properties in (
        ("Ping", "ping, RouteResponseSelectionExpression: $default", "IntegrationType: MOCK"),
        ("Rest", "$default", "IntegrationType: HTTP_PROXY, IntegrationMethod: put, IntegrationUri: !Ref Server"),
        ("Put", "put", "IntegrationType: AWS, IntegrationUri: 'arn:aws:apigateway:us-east-1:dynamodb:action/PutItem'"),
        ("Mean", "mean", "IntegrationType: AWS, IntegrationUri: !GetAtt Fn.Arn"),
        ("Queue", "queue", "IntegrationType: AWS, IntegrationUri: 'arn:aws:apigateway:us-east-1:sqs:path/1/q'"),
    ):
        text += INTEGRATION.format(name=name, key=key, properties=properties)
    (tmp_path / "template.yaml").write_text(text)
    banner = run_trunkline(tmp_path / "template.yaml").banner
    rows = [line.strip().split("  ")[0] for line in banner if " -> " in line]
    assert rows == [
        "ping -> MOCK and back",
        "$default -> HTTP_PROXY PUT http://${stageVariables.host}/x",
        "put -> AWS dynamodb:PutItem",
        "mean -> AWS mean",
    ]
    told = "nothing here is behind 'arn:aws:apigateway:us-east-1:sqs:path/1/q': route queue is left out"
    assert any(told in line for line in banner)


def test_code_that_changes_together_with_the_template_is_taken_up_too(application, run_trunkline):
    running = run_trunkline(application)
    with connect(running.url("socket")) as client:
        client.send("one")
        assert client.recv(timeout=20) == "first one"
        code = application.parent / "code" / "app.py"
        code.write_text(code.read_text().replace("os.environ['WORD']", "'new'"))
        application.write_text(application.read_text() + "\nDescription: another\n")
        running.says("template.yaml changed: deployed anew, connections stay")
        running.says("app.py, template.yaml changed: Talk run anew")
        client.send("two")
        assert client.recv(timeout=20) == "new two"


def test_functions_find_the_way_back_to_another_address(application, run_trunkline):
    assert said(run_trunkline(application, "--host", "127.0.0.2"), "hello") == "first hello"


def test_a_mistake_in_a_changed_template_leaves_what_was_served(application, run_trunkline):
    running = run_trunkline(application)
    application.write_text(application.read_text().replace("!Ref Word", "!Ref Nothing"))
    line = next(line for line in running._lines() if "template.yaml:" in line)
    assert "Nothing" in line
    assert line.endswith("what was served before still is")
    assert said(running, "hello") == "first hello"


def refused(trunkline, *arguments, cwd=None):
    code, out, err = trunkline("run", *arguments, cwd=cwd)
    assert (code, out) == (2, "")
    return err


def test_a_mistake_is_one_line_with_its_place(application, trunkline):
    application.write_text(application.read_text().replace("!Ref Word", "!Ref Nothing"))
    message = refused(trunkline, application.name, cwd=application.parent)
    assert message.count("\n") == 1
    number = 1 + application.read_text().split("\n").index("      Environment: {Variables: {WORD: !Ref Nothing}}")
    assert message.startswith(f"trunkline: template.yaml:{number}: ")


def test_a_template_is_alone_and_there(application, trunkline, tmp_path):
    assert "expected nothing beside it" in refused(trunkline, application, "chat.py")
    assert "does not exist" in refused(trunkline, tmp_path / "other.yaml")
    assert "is a folder" in refused(trunkline, (tmp_path / "code").rename(tmp_path / "code.yaml"))


def test_a_template_without_an_api_is_told_what_is_expected(trunkline, tmp_path):
    (tmp_path / "empty.json").write_text(json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}))
    assert "no WebSocket Api; expected an AWS::ApiGatewayV2::Api" in refused(trunkline, tmp_path / "empty.json")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--store", "memory:"], "--store: a template's items live in its tables"),
        (["--like", "aws"], "--like: a template is always run as API Gateway does it"),
        (["--rate", "socket.dev=5/5"], "rate 'socket.dev': a template says the rates of its stages and routes itself"),
    ],
)
def test_an_option_that_would_change_nothing_of_a_template_is_refused(application, trunkline, options, told):
    assert told in refused(trunkline, application, *options)


@pytest.mark.parametrize(
    "option", [("--parameter", "A=b"), ("--dynamodb", "moto"), ("--node-modules", "x"), ("--install",)]
)
def test_an_option_of_templates_is_refused_for_a_program(write, trunkline, option):
    told = refused(trunkline, write(), *option)
    assert told == f"trunkline: {option[0]} is for templates of AWS; expected one such as template.yaml\n"


def test_that_a_template_follows_its_files_without_being_asked_to_is_said(application, run_trunkline):
    running = run_trunkline(application, "--reload")
    assert "--reload: a template and its functions follow their files by themselves" in running.banner
    assert said(running, "hello") == "first hello"


TABLE = """
      Rooms:
        Type: AWS::Serverless::SimpleTable
        Properties: {TableName: rooms}
"""


def test_without_a_terminal_the_packages_that_a_template_needs_are_told_and_the_rest_runs(
    application, run_trunkline, tmp_path
):
    application.write_text(application.read_text() + textwrap.indent(textwrap.dedent(TABLE), "  "))
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text("import sys\nsys.modules['moto'] = None  # as where it is not installed\n")
    running = run_trunkline(application, env={"XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(hiding)})
    told = next(line for line in running.banner if line.startswith("not here: "))
    assert f"npm install --prefix {tmp_path}/cache/trunkline/node dynalite@" in told
    assert any(line.startswith("dynamodb | the tables need a DynamoDB") for line in running.banner)
    assert said(running, "hello") == "first hello"


SLOW = """
    import time

    def handler(event, context):
        if event["requestContext"]["eventType"] == "DISCONNECT":
            time.sleep(SECONDS)
        print("ended", flush=True)
        return {"statusCode": 200}
"""
GONE = "\n        $disconnect: {FunctionArn: !GetAtt Talk.Arn}\n"


@pytest.fixture
def slow(application, run_trunkline):
    """One whose function takes so many seconds to hear of the end of a connection, while a client is there."""

    @contextlib.contextmanager
    def run(seconds):
        application.write_text(application.read_text().rstrip() + GONE)
        (application.parent / "code" / "app.py").write_text(textwrap.dedent(SLOW).replace("SECONDS", str(seconds)))
        running = run_trunkline(application)
        with connect(running.url("socket")) as client:
            client.send("hello")
            running.says("Talk | ended")
            yield running

    return run


def test_a_function_that_hears_of_the_end_has_more_than_a_second_for_it(slow):
    with slow(1.2) as running:
        code, out, err = running.stop(signal.SIGINT)
    assert (code, err) == (0, "")
    assert "Talk | ended" in out


@pytest.mark.parametrize(("signals", "most"), [(1, 2.7), (2, 1.6)])
def test_what_was_cut_off_is_named_and_who_insists_waits_less(slow, signals, most):
    with slow(20) as running:
        began = time.monotonic()
        for _ in range(signals):
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        code, out, err = running.ended()
        assert time.monotonic() - began < most
    assert (code, err) == (0, "trunkline: stopped at once; Talk was cut off\n")
    assert "ended" not in out


def test_a_function_whose_requirements_are_not_installed_says_what_to_do(application, run_trunkline, tmp_path):
    (tmp_path / "code" / "requirements.txt").write_text("left-over-of-nobody\n")
    (tmp_path / "code" / "app.py").write_text("import left_over_of_nobody\n")
    running = run_trunkline(application, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert any(line.startswith("not here: left-over-of-nobody of ") for line in running.banner)
    with connect(running.url("socket")) as client:
        client.send("hello")
        hint = next(line for line in running._lines() if line.startswith("Talk | sam build would install "))
    assert "code/requirements.txt; here, `trunkline run ... --install` does, and so does `" in hint
    assert f"{shlex.quote(sys.executable)} -m pip install --target {tmp_path}/cache/trunkline/python/" in hint
    assert "No module named 'left_over_of_nobody'" in running.stop()[2]


async def test_when_changes_can_no_longer_be_noticed_that_is_said_and_serving_goes_on(tmp_path, capsys):
    served = SimpleNamespace(root=tmp_path / "nowhere", file=tmp_path / "nowhere" / "template.yaml")
    await _watch(served, Console(soft_wrap=True))
    told = capsys.readouterr().out
    assert told.startswith("changes are no longer noticed: ")
    assert "No path was found; start anew" in told
    assert "WATCHFILES_FORCE_POLLING=1" in told
