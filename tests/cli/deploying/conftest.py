"""AWS for the tests of `trunkline deploy`: moto in a process of its own, and a CloudFormation whose history is written.

moto keeps S3, IAM, Lambda, DynamoDB and stacks, and skips what is of API Gateway; nothing ever fails there and nothing
takes time. So what CloudFormation tells of failures, rollbacks and slow steps is played by a server of ours.
"""

import contextlib
import os
import pty
import select
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
import pytest

COMMAND = Path(sys.executable).with_name("trunkline")
STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/trunkline-chat/6f0c1a30-0001-11f0-8000-0a1b2c3d4e5f"
STACK = "AWS::CloudFormation::Stack"
CHAT = """
from trunkline import collection, websocket

people = collection("people").allow("reading")
socket = websocket("socket")

@socket.on("message")
async def message(ctx):
    return await people.doc("a").get()
"""
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "eu-west-1"}
# It takes a denial whose condition is not met for one that is, and there is no TLS here; and it only reads the bucket
# from the path of an address if that is at localhost.
MOTO = """
import logging, os, sys
import moto.cloudformation.responses as responses
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket
from moto.server import ThreadedMotoServer
logging.disable(logging.WARNING)
FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL
read = responses.get_stack_from_s3_url
responses.get_stack_from_s3_url = lambda url, *more, **named: read(url.replace("127.0.0.1", "localhost"), *more, **named)
output, sys.stdout = sys.stdout, sys.stderr
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
print(server.get_host_and_port()[1], file=output, flush=True)
sys.stdin.read()
os._exit(0)
"""


# The terminal is its own, so that Ctrl-C there is a signal.
AT_A_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.fixture(scope="session")
def moto():
    """URL of an AWS of this machine."""
    with subprocess.Popen(
        [sys.executable, "-c", MOTO], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


class Aws:
    """What is on it."""

    def __init__(self, url):
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "100"}
        self.environment |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        self._url = url

    def client(self, service):
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        return boto3.client(service, endpoint_url=self._url, region_name="eu-west-1", **keys)


def _cleared(moto):
    reset = urllib.request.Request(f"{moto}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=10).close()
    return Aws(moto)


@pytest.fixture
def aws(moto):
    """An AWS on which nothing is."""
    return _cleared(moto)


@pytest.fixture
def write(tmp_path):
    """Put a program into the test's folder."""

    def write(name="chat.py", text=CHAT):
        (tmp_path / name).write_text(textwrap.dedent(text).lstrip())

    write.text = CHAT
    write()
    return write


def _deploy(folder, aws, *arguments, code=0, env=None):
    """Run `trunkline deploy ARGUMENTS` in a folder: what it prints, its lines without blanks at their ends."""
    done = subprocess.run(
        [COMMAND, "deploy", *map(str, arguments)],
        cwd=folder, env=_kept() | aws.environment | (env or {}), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines())


def _kept():
    """This environment, without what would change what is tested."""
    changing = ("TRUNKLINE_", "AWS_", "PYTHONUNBUFFERED")
    return {name: value for name, value in os.environ.items() if not name.startswith(changing)} | {"NO_COLOR": "1"}


@pytest.fixture
def deploy(write, tmp_path, aws):
    """The same in the test's folder."""
    return lambda *arguments, **more: _deploy(tmp_path, aws, *arguments, **more)


class Deploying:
    """A `trunkline deploy` that is under way."""

    def __init__(self, process):
        self._process = process

    def says(self, text):
        """Wait until it has printed this line."""
        assert text in (line.rstrip() for line in iter(self._process.stdout.readline, "")), f"it never said {text!r}"

    def stop(self, number):
        """Exit code, and the rest of what it printed."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self):
        """The same, of one that ends by itself."""
        told, _ = self._process.communicate(timeout=30)
        return self._process.returncode, told


@pytest.fixture
def deploying(write, tmp_path, aws):
    """Begin a `trunkline deploy ARGUMENTS`."""
    with contextlib.ExitStack() as stack:

        def deploying(*arguments, env):
            process = subprocess.Popen(
                [COMMAND, "deploy", *arguments], cwd=tmp_path, env=_kept() | aws.environment | env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            return Deploying(stack.enter_context(process))

        yield deploying


@pytest.fixture(scope="module")
def story(moto, tmp_path_factory):
    """An AWS of a module's own at its beginning, a folder, and what runs `trunkline deploy` there."""
    aws, folder = _cleared(moto), tmp_path_factory.mktemp("story")
    return aws, folder, lambda *arguments, **more: _deploy(folder, aws, *arguments, **more)


@pytest.fixture
def terminal(write, tmp_path, aws):
    """The same at a terminal, where each question gets the next answer: exit code, and what was on the screen."""

    def terminal(*arguments, answers=(), env=None):
        ours, theirs = pty.openpty()
        environment = (
            _kept() | aws.environment | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"} | (env or {})
        )
        with subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, COMMAND, "deploy", *map(str, arguments)],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=environment, start_new_session=True,
        ) as process:  # fmt: skip
            os.close(theirs)
            text = _talked(ours, list(answers))
            return process.wait(timeout=10), text

    return terminal


def _talked(ours, answers):
    """Everything that was written to a terminal until it was closed."""
    text, until = "", time.monotonic() + 20
    while select.select([ours], [], [], max(0, until - time.monotonic()))[0]:
        try:
            some = os.read(ours, 65536)
        except OSError:  # nobody has it open any more
            break
        text += some.decode()
        if answers and text.rstrip().endswith("[y/N]"):
            os.write(ours, f"{answers.pop(0)}\n".encode())
    os.close(ours)
    return text


def xml(value):
    """As AWS's query protocol writes it."""
    if isinstance(value, dict):
        return "".join(f"<{name}>{xml(member)}</{name}>" for name, member in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{xml(member)}</member>" for member in value)
    return escape(str(value).lower() if isinstance(value, bool) else str(value))


class CloudFormation:
    """One stack, whose history is written beforehand.

    Attributes:
        status: of the stack; None without one.
        script: what happens next: (status, events) for each look at the stack, once something was begun.
        held: what the script waits for before its last look.
        calls: the actions that were asked for, in order.
        refuses: an action, with the code and message of its error.
    """

    def __init__(self):
        self.status = None
        self.template = ""
        self.reason = ""
        self.script = []
        self.events = []
        self.changes = []
        self.resources = []
        self.outputs = {}
        self.calls = []
        self.refuses = ()
        self.id = STACK_ID
        self.held = threading.Event()
        self.held.set()
        self._is_playing = False

    def event(self, logical_id, kind, status, reason=""):
        number = len(self.events)
        time = datetime(2026, 3, 1, 12, 0, tzinfo=UTC) + timedelta(seconds=number)
        self.events.append(
            {
                "StackId": STACK_ID, "StackName": "trunkline-chat", "EventId": f"{logical_id}-{status}-{number}",
                "LogicalResourceId": logical_id, "PhysicalResourceId": STACK_ID if kind == STACK else f"x-{logical_id}",
                "ResourceType": kind, "ResourceStatus": status, "Timestamp": time.isoformat(),
                **({"ResourceStatusReason": reason} if reason else {}),
            }
        )  # fmt: skip

    def begin(self):
        """From now on the script is played."""
        self._is_playing = True

    def answer(self, form):
        self.calls.append(form["Action"])
        if self.refuses and self.refuses[0] == form["Action"]:
            raise LookupError(*self.refuses[1:])
        return getattr(self, form["Action"])(form)

    # The actions.

    def DescribeStacks(self, form):
        if self._is_playing and self.script and (len(self.script) > 1 or self.held.is_set()):
            self.status, events = self.script.pop(0)
            for event in events:
                self.event(*event)
            self._is_playing = bool(self.script)
        if self.status is None or (self.status == "DELETE_COMPLETE" and form["StackName"] != STACK_ID):
            raise LookupError("ValidationError", f"Stack with id {form['StackName']} does not exist")
        stack = {"StackId": STACK_ID, "StackName": "trunkline-chat", "StackStatus": self.status}
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()]
        return {"Stacks": [{**stack, "CreationTime": "2026-03-01T12:00:00Z", "Outputs": outputs}]}

    def DescribeStackEvents(self, form):
        return {"StackEvents": self.events[::-1]}

    def GetTemplate(self, form):
        return {"TemplateBody": self.template}

    def ListStackResources(self, form):
        return {
            "StackResourceSummaries": [
                {"LogicalResourceId": one, "PhysicalResourceId": f"x-{one}", "ResourceType": kind, "ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": "2026-03-01T12:00:00Z"}
                for one, kind in self.resources
            ]
        }  # fmt: skip

    def CreateChangeSet(self, form):
        self.proposed = form.get("TemplateBody", "")
        if form["ChangeSetType"] == "CREATE":
            self.status = "REVIEW_IN_PROGRESS"
            self.event("trunkline-chat", STACK, "REVIEW_IN_PROGRESS", "User Initiated")
        return {"Id": "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/x/1", "StackId": STACK_ID}

    def DescribeChangeSet(self, form):
        if self.reason:
            return {"Status": "FAILED", "StatusReason": self.reason}
        page = int(form.get("NextToken", 0))  # each has one change
        found = [{"Type": "Resource", "ResourceChange": one} for one in self.changes[page : page + 1]]
        more = {"NextToken": page + 1} if page + 1 < len(self.changes) else {}
        return {"Status": "CREATE_COMPLETE", "Changes": found, **more}

    def ExecuteChangeSet(self, form):
        self.template = self.proposed
        self.begin()
        return {}

    def DeleteChangeSet(self, form):
        return {}

    def DeleteStack(self, form):
        if self.status == "REVIEW_IN_PROGRESS":
            self.status = "DELETE_COMPLETE"
        else:
            self.begin()
        return {}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        try:
            status, text = 200, xml({f"{form['Action']}Result": self.server.cloud.answer(form)})
            text = f"<{form['Action']}Response>{text}</{form['Action']}Response>"
        except LookupError as error:
            status = 400
            told = xml({"Type": "Sender", "Code": error.args[0], "Message": error.args[1]})
            text = f"<ErrorResponse><Error>{told}</Error></ErrorResponse>"
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def cloud():
    """A CloudFormation of ours, and what makes the command use it in `environment`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.cloud = CloudFormation()
        server.cloud.environment = {"AWS_ENDPOINT_URL_CLOUDFORMATION": f"http://127.0.0.1:{server.server_port}"}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.cloud
        server.shutdown()
        thread.join()
