"""AWS's own emulator runs the same functions under the same clients as we do: what comes of them is the same.

It is the program of `sam local`, without its container. It knows no `X-Amz-Function-Error`, and says of a function that
takes too long only that it did.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop

from trunkline.functions.environment import Surroundings
from trunkline.functions.pool import LocalFunction
from trunkline.functions.runtimes import runtime_of
from trunkline.model.functions import FunctionDefinition

EMULATOR = Path(sys.executable).with_name("aws-lambda-rie")
OF_THE_EMULATOR = {"AWS_LAMBDA_FUNCTION_TIMEOUT", "AWS_LAMBDA_METADATA_API", "AWS_LAMBDA_METADATA_TOKEN", "LC_CTYPE"}
OF_A_REQUEST = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

PYTHON = {
    "app.py": """
import os, time
n = 0

def deep():
    raise KeyError("deep \\u00fc")

def handler(event, context):
    global n
    n += 1
    what = event.get("what")
    if what == "raise": deep()
    if what == "exit": os._exit(event["code"])
    if what == "signal": os.kill(os.getpid(), event["number"])
    if what == "sleep": time.sleep(20)
    if what == "names": return sorted(os.environ)
    if what == "set": return {1}
    if what == "nan": return float("nan")
    if what == "large": return "x" * 7_000_000
    if what == "context":
        return {name: type(getattr(context, name)).__name__ for name in dir(context) if name[0] != "_"}
    if what == "nothing": return None
    return {"n": n, "event": event}
""",
    "importless.py": "import a_package_that_was_forgotten",
    "unparsable.py": "def handler(:",
    "raising.py": "raise ValueError('not ready')",
    "leaving.py": "import os\nos._exit(4)",
    "quitting.py": "import sys\nsys.exit(5)",
}
NODE = {
    "app.js": """
let n = 0;
const deep = () => { throw new RangeError("deep \\u00fc"); };

exports.handler = async (event, context) => {
  n += 1;
  switch (event.what) {
    case "raise": deep();
    case "exit": process.exit(event.code);
    case "signal": process.kill(process.pid, event.number); await new Promise((end) => setTimeout(end, 9999));
    case "sleep": await new Promise((end) => setTimeout(end, 20000));
    case "names": return Object.keys(process.env).sort();
    case "large": return "x".repeat(7e6);
    case "context": return Object.fromEntries(Object.entries(context).map(([name, value]) => [name, typeof value]));
    case "nothing": return undefined;
    case "reject": Promise.reject(new Error("lost")); await new Promise((end) => setTimeout(end, 9999));
    case "string": throw "no error";
  }
  return { n, event };
};
exports.back = (event, context, callback) => (event.fails ? callback(new TypeError("no")) : callback(null, event));
exports.silent = () => 1;
""",
    "importless.js": "require('a-package-that-was-forgotten');",
    "unparsable.js": "exports.handler = (",
    "raising.js": "throw new RangeError('not ready');",
    "leaving.js": "process.exit(4);",
}
CODE = {"python3.11": PYTHON, "nodejs20.x": NODE, "provided.al2023": {}}


def definition(runtime, handler, code):
    return FunctionDefinition("talk", "Talk", runtime, handler, code=code, seconds=2, memory_mb=256)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def emulated(runtime, handler, code):
    """The port of the emulator that runs this function."""
    port = free_port()
    addresses = [f"--runtime-interface-emulator-address=127.0.0.1:{port}"]
    addresses.append(f"--runtime-api-address=127.0.0.1:{free_port()}")
    command = runtime_of(definition(runtime, handler, code), None, [code]).command
    environment = {"PATH": os.environ["PATH"], "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(code)}
    environment |= {"AWS_LAMBDA_FUNCTION_NAME": "talk", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256"}
    environment["AWS_LAMBDA_FUNCTION_TIMEOUT"] = "2"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([EMULATOR, *addresses, *command], cwd=code, env=environment, process_group=0, **quiet)
    try:
        wait_for(port)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(port):
    for _ in range(500):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    raise AssertionError("the emulator never listened")


def by_aws(runtime, handler, code, events):
    answers = []
    with emulated(runtime, handler, code) as port:
        for event in events:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
            answers.append(connection.getresponse().read().decode())
            connection.close()
    return answers


def by_us(runtime, handler, code, events, scratch):
    async def whole():
        around = Surroundings("us-east-1", "012345678912", scratch, lambda *line: None)
        function = LocalFunction(definition(runtime, handler, code), around)
        try:
            return [await function.invoke(json.dumps(event).encode()) for event in events]
        finally:
            await function.close()

    return uvloop.run(whole())


def without_ids(text):
    return OF_A_REQUEST.sub("(id)", text)


@pytest.fixture
def both(tmp_path):
    """What AWS's emulator and we answer to these events, with `(id)` for the ids of requests."""

    def run(runtime, handler, *events, files=None):
        code = tmp_path / "code"
        code.mkdir()
        for name, text in (CODE[runtime] if files is None else files).items():
            (code / name).write_text(text)
            (code / name).chmod(0o755)
        theirs = [without_ids(answer) for answer in by_aws(runtime, handler, code, events)]
        found = by_us(runtime, handler, code, events, tmp_path / "scratch")
        ours = [without_ids(one.payload.decode()) for one in found]
        for one in found:
            assert (one.function_error == "Unhandled") == (
                b'"errorType"' in one.payload or b'"n": "fail"' in one.payload
            )
        return theirs, ours

    return run


BOTH = ["python3.11", "nodejs20.x"]
ANSWERED = [{"a": [1, "\u00fc\u2028", None]}, {"what": "nothing"}, {"what": "raise"}, {"what": "large"}]
DEADLY = [
    {"what": "exit", "code": 3},
    {"what": "exit", "code": 0},
    {"what": "signal", "number": 9},
    {"what": "signal", "number": 11},
    {"what": "signal", "number": 6},
    {"what": "signal", "number": 15},
]


@pytest.mark.parametrize("runtime", BOTH)
@pytest.mark.parametrize("event", ANSWERED, ids=["value", "nothing", "error", "too large"])
def test_what_a_function_returns_or_raises_is_the_same_to_the_byte(both, runtime, event):
    theirs, ours = both(runtime, "app.handler", event, {"n": 2})
    assert ours[0] == theirs[0]
    if event != {"what": "large"}:  # the emulator ends a worker for that
        assert ours[1] == theirs[1]


@pytest.mark.parametrize("what", ["set", "nan"])
def test_what_is_no_json_in_python_is_the_same(both, what):
    theirs, ours = both("python3.11", "app.handler", {"what": what})
    assert ours == theirs


@pytest.mark.parametrize("event", [{"what": "reject"}, {"what": "string"}])
def test_what_nobody_handles_in_node_is_the_same(both, event):
    theirs, ours = both("nodejs20.x", "app.handler", event, {"n": 2})
    assert ours == theirs


@pytest.mark.parametrize("handler", ["app.back", "app.silent"])
def test_handlers_without_promises_are_the_same(both, handler):
    theirs, ours = both("nodejs20.x", handler, {"n": 1}, {"fails": 1}, {"n": 2})
    assert ours == theirs


@pytest.mark.parametrize("runtime", BOTH)
@pytest.mark.parametrize("event", DEADLY, ids=lambda event: "-".join(map(str, event.values())))
def test_how_a_worker_ends_is_told_in_the_same_words_and_the_next_begins_anew(both, runtime, event):
    theirs, ours = both(runtime, "app.handler", {"n": 1}, event, {"n": 2})
    assert ours == theirs
    assert "(id) Error: Runtime exited with" in ours[1] and "1" in ours[2]


FAILING = ["importless.handler", "unparsable.handler", "raising.handler", "gone.handler", "app.gone"]


@pytest.mark.parametrize("runtime", BOTH)
@pytest.mark.parametrize("handler", FAILING)
def test_what_cannot_begin_is_told_the_same_each_time(both, runtime, handler):
    theirs, ours = both(runtime, handler, {"n": 1}, {"n": 2})
    assert ours == theirs


@pytest.mark.parametrize(
    ("runtime", "handler", "status"),
    [("python3.11", "leaving.handler", 4), ("nodejs20.x", "leaving.handler", 4), ("python3.11", "quitting.handler", 5)],
)
def test_what_leaves_while_it_begins_is_told_where_the_emulator_is_silent(both, runtime, handler, status):
    theirs, ours = both(runtime, handler, {"n": 1})
    assert theirs == [""]
    told = f"RequestId: (id) Error: Runtime exited with error: exit status {status}"
    assert json.loads(ours[0]) == {"errorType": "Runtime.ExitError", "errorMessage": told}


BOOTSTRAP = f"""#!/bin/sh
'''exec' "{sys.executable}" "$0" "$@"  # its path may have a space, which a first line cannot
' '''
import os
from http.client import HTTPConnection

api = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/invocation/"
while True:
    api.request("GET", base + "next")
    response = api.getresponse()
    event, id = response.read(), response.headers["Lambda-Runtime-Aws-Request-Id"]
    api.request("POST", base + id + ("/error" if b"fail" in event else "/response"), b'{{"event": ' + event + b"}}")
    api.getresponse().read()
"""


def test_a_bootstrap_is_the_same(both):
    theirs, ours = both("provided.al2023", "app.handler", {"n": 1}, {"n": "fail"}, files={"bootstrap": BOOTSTRAP})
    assert ours == theirs == ['{"event": {"n": 1}}', '{"event": {"n": "fail"}}']


@pytest.mark.parametrize("runtime", BOTH)
def test_the_context_has_the_same_names_with_values_of_the_same_kinds(both, runtime):
    theirs, ours = both(runtime, "app.handler", {"what": "context"})
    assert json.loads(ours[0]) == json.loads(theirs[0])


@pytest.mark.parametrize("runtime", BOTH)
def test_every_variable_of_the_emulator_is_there(both, runtime):
    theirs, ours = both(runtime, "app.handler", {"what": "names"})
    assert set(json.loads(theirs[0])) - set(json.loads(ours[0])) - OF_THE_EMULATOR == set()


@pytest.mark.parametrize("runtime", BOTH)
def test_a_function_that_takes_too_long_is_told_so_and_the_next_begins_anew(both, runtime):
    theirs, ours = both(runtime, "app.handler", {"what": "sleep"}, {"n": 1})
    assert theirs[0] == "Task timed out after 2.00 seconds"
    told = "RequestId: (id) Error: Task timed out after 2.00 seconds"
    assert json.loads(ours[0]) == {"errorType": "Sandbox.Timedout", "errorMessage": told}
    assert ours[1] == theirs[1]
