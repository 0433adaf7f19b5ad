"""A function that runs here: in real processes, under AWS's own runtime client for Python and ours for Node."""

import asyncio
import functools
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
import uvloop

from trunkline.functions import pool
from trunkline.functions.environment import Surroundings
from trunkline.functions.pool import LocalFunction
from trunkline.model.functions import FunctionDefinition, InvocationRefused

PYTHON = """
import os, subprocess, time
print("begun")

def handler(event, context):
    what = event.get("what")
    if what == "exit":
        os._exit(3)
    if what == "signal":
        os.kill(os.getpid(), event["number"])
    if what == "eat":
        eaten = []
        while True:
            eaten.append(bytearray(4_000_000))
            time.sleep(0.001)
    if what == "leave":
        print(subprocess.Popen(["sleep", "20"]).pid, flush=True)
        os._exit(3)
    if what == "raise":
        raise ValueError("no")
    if what == "sleep":
        time.sleep(event["seconds"])
    if what == "pid":
        return os.getpid()
    if what == "print":
        print("a line", flush=True)
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn}
"""
NODE = """
exports.handler = async (event, context) => {
  if (event.what === "raise") throw new TypeError("no");
  if (event.what === "exit") process.exit(3);
  return { event, id: context.awsRequestId, arn: context.invokedFunctionArn };
};
"""


def definition(inline=PYTHON, runtime="python3.11", **given):
    given = {"seconds": 5.0, "inline": inline} | given
    return FunctionDefinition("app-Talk", "Talk", runtime, "index.handler", **given)


class Functions:
    """Makes functions that are ended at the end of the test; `said` is what they wrote."""

    def __init__(self, folder):
        self.folder = folder
        self.made = []

    def __call__(self, **given):
        said = []
        folder = self.folder / f"scratch{len(self.made)}"
        surroundings = Surroundings("eu-west-1", "111122223333", folder, lambda *line: said.append(line))
        function = LocalFunction(definition(**given), surroundings)
        function.said = said
        self.made.append(function)
        return function


@pytest.fixture
def functions(tmp_path):
    return Functions(tmp_path)


def real(test):
    """In real time: processes do not know that a clock jumps."""

    @functools.wraps(test)
    def run(functions, **others):
        async def whole():
            try:
                await test(functions, **others)
            finally:
                for function in functions.made:
                    await function.close()

        uvloop.run(whole())

    return run


async def ask(function, **event):
    invocation = await function.invoke(json.dumps(event).encode())
    return invocation.function_error, json.loads(invocation.payload)


@pytest.mark.parametrize("runtime", [{}, {"inline": NODE, "runtime": "nodejs20.x"}], ids=["python", "node"])
@real
async def test_a_function_answers_an_event_and_has_its_context(functions, runtime):
    function = functions(**runtime)
    error, answer = await ask(function, n=1)
    assert error is None
    assert answer["event"] == {"n": 1}
    assert len(answer["id"]) == 36
    assert answer["arn"] == "arn:aws:lambda:eu-west-1:111122223333:function:app-Talk"
    again = (await ask(function, n=2))[1]
    assert again["id"] != answer["id"]
    assert len(function._workers) == 1, "the same worker has answered both"


@pytest.mark.parametrize("runtime", [{}, {"inline": NODE, "runtime": "nodejs20.x"}], ids=["python", "node"])
@real
async def test_what_a_function_raises_is_its_answer(functions, runtime):
    error, told = await ask(functions(**runtime), what="raise")
    assert error == "Unhandled"
    assert (told["errorType"], told["errorMessage"]) == ("TypeError" if runtime else "ValueError", "no")


@pytest.mark.parametrize("runtime", [{}, {"inline": NODE, "runtime": "nodejs20.x"}], ids=["python", "node"])
@real
async def test_a_worker_that_dies_with_an_event_is_told_and_the_next_event_is_handled(functions, runtime):
    function = functions(**runtime)
    error, told = await ask(function, what="exit")
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert told["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert (await ask(function, n=1))[1]["event"] == {"n": 1}


@pytest.mark.parametrize(
    ("number", "name"), [(9, "killed"), (11, "segmentation fault"), (6, "aborted"), (15, "terminated")]
)
@real
async def test_a_worker_that_a_signal_ends_is_told_in_lambdas_words(functions, number, name):
    error, told = await ask(functions(), what="signal", number=number)
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.ExitError")
    message = rf"RequestId: [0-9a-f-]{{36}} Error: Runtime exited with error: signal: {name}"
    assert re.fullmatch(message, told["errorMessage"])


EATING_NODE = """
exports.handler = async (event) => {
  if (event.what !== "eat") return { event };
  const eaten = [];
  for (;;) {
    eaten.push(Buffer.alloc(4e6, 1));
    await new Promise((resolved) => setTimeout(resolved, 1));
  }
};
"""


@pytest.mark.parametrize("runtime", [{}, {"inline": EATING_NODE, "runtime": "nodejs20.x"}], ids=["python", "node"])
@real
async def test_a_function_that_takes_more_memory_than_it_may_is_killed_and_replaced(functions, runtime):
    function = functions(memory_mb=256, seconds=20, **runtime)
    error, told = await ask(function, what="eat")
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.OutOfMemory")
    message = r"RequestId: [0-9a-f-]{36} Error: Runtime exited with error: signal: killed"
    assert re.fullmatch(message, told["errorMessage"])
    assert (await ask(function, n=1))[1]["event"] == {"n": 1}


LITTERING = """
exports.handler = async () => {
  let kept = [];
  const end = Date.now() + 1000;
  for (let n = 0; Date.now() < end; n++) {
    kept.push({ list: new Array(1000).fill(n), text: 'x'.repeat(100) + n });
    if (kept.length > 3000) kept = kept.slice(2000);
    if (n % 1000 === 0) await new Promise(setImmediate);
  }
  return 'ok';
};
"""


@pytest.mark.parametrize("runtime", ["nodejs20.x", "nodejs24.x"])
@real
async def test_garbage_is_collected_before_it_ends_a_function(functions, runtime):
    assert await ask(functions(inline=LITTERING, runtime=runtime, memory_mb=128)) == (None, "ok")


@real
async def test_a_function_that_takes_too_much_memory_as_it_begins_is_killed_too(functions):
    text = "import time\neaten = []\nwhile True:\n    eaten.append(bytearray(4_000_000))\n    time.sleep(0.001)"
    error, told = await ask(functions(inline=text, memory_mb=128))
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.OutOfMemory")


@real
async def test_the_memory_of_what_a_function_starts_is_its_own(functions):
    eat = "import time\\neaten = []\\nwhile True:\\n    eaten.append(bytearray(4_000_000))\\n    time.sleep(0.001)"
    text = f"import subprocess, sys\ndef handler(event, context):\n    subprocess.run([sys.executable, '-c', '{eat}'])"
    error, told = await ask(functions(inline=text, memory_mb=128, seconds=20))
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.OutOfMemory")


@real
async def test_memory_that_is_asked_for_at_once_is_refused_before_it_takes_the_machine(functions):
    text = "def handler(event, context):\n    return len(bytearray(6_000_000_000))"
    error, told = await ask(functions(inline=text, memory_mb=128))
    assert (error, told["errorType"]) == ("Unhandled", "MemoryError")


@real
async def test_a_function_with_the_least_memory_may_have_awss_packages_and_threads(functions):
    text = "import boto3, threading\ndef handler(event, context):\n    boto3.client('dynamodb')\n    return 'ok'"
    assert await ask(functions(inline=text, memory_mb=128)) == (None, "ok")
    text = "const { Worker } = require('worker_threads'); exports.handler = async () => { new WebAssembly.Memory({ initial: 1, maximum: 65536 }); await new Promise((end) => new Worker('1', { eval: true }).on('exit', end)); return 'ok'; };"
    assert await ask(functions(inline=text, memory_mb=128, runtime="nodejs24.x")) == (None, "ok")


BOOTSTRAP = f"""#!/bin/sh
'''exec' "{sys.executable}" "$0" "$@"  # its path may have a space, which a first line cannot
' '''
import json, os
from http.client import HTTPConnection

api = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = "/2018-06-01/runtime/invocation/"
print("begun with", os.environ["_HANDLER"], flush=True)
while True:
    api.request("GET", base + "next")
    response = api.getresponse()
    event, id = response.read().decode(), response.headers["Lambda-Runtime-Aws-Request-Id"]
    failed = {{"errorType": "Mine", "errorMessage": "no"}}
    what, answer = ("error", failed) if "fail" in event else ("response", {{"event": json.loads(event), "id": id}})
    api.request("POST", base + id + "/" + what, json.dumps(answer))
    api.getresponse().read()
"""


@real
async def test_a_bootstrap_of_any_language_runs_as_it_is(functions, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "bootstrap").write_text(BOOTSTRAP)
    (tmp_path / "code" / "bootstrap").chmod(0o755)
    function = functions(inline=None, code=tmp_path / "code", runtime="provided.al2023")
    error, answer = await ask(function, n=1)
    assert (error, answer["event"], len(answer["id"])) == (None, {"n": 1}, 36)
    assert await ask(function, what="fail") == ("Unhandled", {"errorType": "Mine", "errorMessage": "no"})
    assert ("app-Talk", "begun with index.handler") in function.said
    assert len(function._workers) == 1


@real
async def test_a_bootstrap_that_this_machine_cannot_run_is_told(functions, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "bootstrap").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "code" / "bootstrap").chmod(0o755)
    function = functions(inline=None, code=tmp_path / "code", runtime="provided.al2023")
    error, told = await ask(function, n=1)
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert function.said[-1][1].endswith("/bootstrap cannot be run: Exec format error")


@real
async def test_a_function_finds_the_commands_and_packages_of_its_layers(functions, tmp_path):
    layer = tmp_path / "layer"
    (layer / "bin").mkdir(parents=True)
    (layer / "bin" / "greet").write_text("#!/bin/sh\necho hello\n")
    (layer / "bin" / "greet").chmod(0o755)
    (layer / "python").mkdir()
    (layer / "python" / "greeting.py").write_text("word = 'of python'")
    (layer / "nodejs" / "node20" / "node_modules" / "greeting").mkdir(parents=True)
    (layer / "nodejs" / "node20" / "node_modules" / "greeting" / "index.js").write_text("exports.word = 'of node'")
    text = "import greeting, subprocess\ndef handler(event, context):\n    return greeting.word, subprocess.check_output('greet', text=True)"
    assert await ask(functions(inline=text, layers=(layer,))) == (None, ["of python", "hello\n"])
    text = "exports.handler = async () => [require('greeting').word, require('child_process').execSync('greet').toString()]"
    node = functions(inline=text, runtime="nodejs20.x", layers=(layer,))
    assert await ask(node) == (None, ["of node", "hello\n"])


@real
async def test_variables_that_aws_would_refuse_are_told_once(functions):
    function = functions(environment={"AWS_REGION": "here", "TABLE": "talk"})
    await asyncio.gather(ask(function, n=1), ask(function, n=2))
    told = "its variables AWS_REGION are left out: AWS refuses names of Lambda's own"
    assert function.said.count(("app-Talk", told)) == 1


@real
async def test_what_is_true_of_a_runtime_is_said_once_in_a_run(functions, tmp_path):
    said = []
    around = Surroundings("eu-west-1", "111122223333", tmp_path / "run", lambda *line: said.append(line))
    functions.made += [LocalFunction(definition(runtime="python3.9"), around) for _ in range(2)]
    for function in functions.made:
        assert (await ask(function, n=1))[0] is None
    assert sum("python3.9 is run by" in line for _, line in said) == 1


@real
async def test_a_worker_that_is_killed_while_it_waits_swallows_no_event(functions):
    function = functions()
    for _ in range(3):
        error, pid = await ask(function, what="pid")
        assert error is None
        await until(lambda: function._idle)
        os.kill(pid, 9)
        time.sleep(0.1)  # it is gone, and the loop has not had a turn to notice
    assert (await ask(function, n=1))[1]["event"] == {"n": 1}


async def until(true):
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


@real
async def test_a_function_that_takes_too_long_is_killed_and_replaced(functions):
    function = functions(seconds=0.5)
    began = time.monotonic()
    error, told = await ask(function, what="sleep", seconds=30)
    assert (error, told["errorType"]) == ("Unhandled", "Sandbox.Timedout")
    assert told["errorMessage"].endswith("Error: Task timed out after 0.50 seconds")
    assert time.monotonic() - began < 5
    assert (await ask(function, n=1))[1]["event"] == {"n": 1}


@real
async def test_a_function_that_cannot_be_imported_fails_each_time_and_says_why_once(functions):
    function = functions(inline="import nothing_of_the_kind")
    for _ in range(2):
        error, told = await ask(function)
        assert (error, told["errorType"]) == ("Unhandled", "Runtime.ImportModuleError")
        assert "nothing_of_the_kind" in told["errorMessage"]
    assert sum("Unable to import module" in line for _, line in function.said) == 1


@real
async def test_a_function_in_node_that_is_not_there_fails_as_in_lambda(functions):
    error, told = await ask(functions(inline="exports.other = 1", runtime="nodejs20.x"))
    assert (error, told["errorType"]) == ("Unhandled", "Runtime.HandlerNotFound")


@real
async def test_what_it_writes_is_said_line_by_line_with_its_name(functions):
    function = functions()
    await ask(function, what="print")
    await until(lambda: ("app-Talk", "a line") in function.said)
    assert function.said == [("app-Talk", "begun"), ("app-Talk", "a line")]


LOGGING = """
import logging

def handler(event, context):
    logging.getLogger("shop").info("too little")
    logging.getLogger("shop").warning("sold out", extra={"item": 7})
    raise ValueError("no")
"""


@real
async def test_it_logs_as_json_from_its_level_on(functions):
    function = functions(inline=LOGGING, log_level="WARN")
    await ask(function)
    await until(lambda: len(function.said) == 2)
    sold_out, failed = (json.loads(line) for _, line in function.said)
    assert (sold_out["level"], sold_out["message"], sold_out["logger"]) == ("WARNING", "sold out", "shop")
    assert (failed["level"], failed["errorType"], failed["errorMessage"]) == ("ERROR", "ValueError", "no")
    assert sold_out["requestId"] == failed["requestId"]


@real
async def test_invocations_at_the_same_time_have_workers_of_their_own(functions):
    function = functions()
    pids = await asyncio.gather(*(ask(function, what="sleep", seconds=0.3) for _ in range(3)))
    assert [error for error, _ in pids] == [None] * 3
    assert len(function._workers) == 3


@real
async def test_a_worker_that_is_soon_free_is_waited_for_where_two_run_already(functions, monkeypatch):
    monkeypatch.setattr(pool, "_RETURN_SECONDS", 5.0)  # a machine that does other things is slow
    function = functions()
    for _ in range(3):
        await function.invoke(b"{}")
    ask = json.dumps({"what": "pid"}).encode()
    answers = await asyncio.gather(*(function.invoke(ask) for _ in range(50)))
    assert len({answer.payload for answer in answers}) == 2


@real
async def test_where_invocations_take_long_of_late_each_has_a_worker(functions):
    function = functions()
    sleep = json.dumps({"what": "sleep", "seconds": 0.3}).encode()
    await function.invoke(sleep)
    began = time.monotonic()
    await asyncio.gather(*(function.invoke(sleep) for _ in range(4)))
    assert len(function._workers) == 4
    assert time.monotonic() - began < 4 * 0.3 + 3


@real
async def test_it_is_running_while_an_invocation_has_not_ended(functions):
    function = functions()
    running = asyncio.ensure_future(ask(function, what="sleep", seconds=0.3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert function.is_running
    await running
    assert not function.is_running


@real
async def test_beyond_the_most_workers_invocations_wait(functions, monkeypatch):
    monkeypatch.setattr(pool, "_MOST_WORKERS", 1)
    function = functions()
    answers = await asyncio.gather(*(ask(function, n=n) for n in range(4)))
    assert sorted(answer["event"]["n"] for _, answer in answers) == [0, 1, 2, 3]
    assert len(function._workers) == 1


@real
async def test_who_waits_for_a_worker_that_dies_gets_another(functions, monkeypatch):
    monkeypatch.setattr(pool, "_MOST_WORKERS", 1)
    function = functions()
    first, second = await asyncio.gather(ask(function, what="exit"), ask(function, n=1))
    assert first[1]["errorType"] == "Runtime.ExitError"
    assert second[1]["event"] == {"n": 1}


@real
async def test_reserved_concurrency_refuses_what_is_beyond_it(functions):
    function = functions(concurrency=1)
    running = asyncio.ensure_future(ask(function, what="sleep", seconds=0.3))
    await asyncio.sleep(0)
    with pytest.raises(InvocationRefused, match="Rate Exceeded"):
        await function.invoke(b"{}")
    assert (await running)[0] is None
    assert (await ask(function, n=1))[0] is None


@real
async def test_workers_that_nobody_needs_end(functions, monkeypatch):
    monkeypatch.setattr(pool, "_IDLE_SECONDS", 0.0)
    monkeypatch.setattr(pool, "_REAP_SECONDS", 0.05)
    function = functions()
    await ask(function, n=1)
    await until(lambda: not function._workers)


async def test_workers_are_kept_for_a_minute_of_idleness(functions):
    function = functions()
    started = threading.Event()
    # Time stands still while a thread has work: a process starts in a moment of it.
    holding = asyncio.ensure_future(asyncio.to_thread(started.wait))
    try:
        assert (await ask(function, n=1))[0] is None
        await until_in_a_moment(lambda: function._idle)
        started.set()
        await holding
        await asyncio.sleep(pool._IDLE_SECONDS - 1)
        assert len(function._workers) == 1
        await asyncio.sleep(pool._REAP_SECONDS + 1)
        assert not function._idle
    finally:
        started.set()
        await function.close()
    assert not function._workers


async def until_in_a_moment(true):
    for _ in range(5_000):
        if true():
            return
        await asyncio.to_thread(time.sleep, 0.001)
    raise AssertionError("it never came true")


@real
async def test_replaced_code_is_run_by_the_next_invocation_and_what_runs_goes_on(functions, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text(PYTHON)
    function = functions(inline=None, code=code)
    running = asyncio.ensure_future(ask(function, what="sleep", seconds=0.5))
    await until(lambda: any(worker.is_busy for worker in function._workers))
    (code / "index.py").write_text("def handler(event, context): return 'new'")
    function.replace()
    assert await ask(function) == (None, "new")
    assert (await running)[0] is None


@real
async def test_what_a_dead_worker_had_started_neither_hides_its_death_nor_outlives_it(functions):
    function = functions()
    began = time.monotonic()
    assert (await ask(function, what="leave"))[1]["errorType"] == "Runtime.ExitError"
    assert time.monotonic() - began < 3
    pid = int(function.said[-1][1])
    await until(lambda: is_gone(pid))


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"  # nobody may be there to reap it
    except FileNotFoundError:
        return True


@real
async def test_who_no_longer_waits_leaves_the_function_to_its_timeout(functions):
    function = functions(seconds=0.3, concurrency=1)
    await ask(function, n=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(function, what="sleep", seconds=20), 0.05)
    with pytest.raises(InvocationRefused, match="Rate Exceeded"):
        await function.invoke(b"{}")
    await until(lambda: not function._workers)
    assert (await ask(function, n=2))[0] is None


@real
async def test_who_waits_when_a_function_is_ended_is_told(functions, monkeypatch):
    monkeypatch.setattr(pool, "_MOST_WORKERS", 1)
    function = functions()
    await ask(function, n=1)
    running = asyncio.ensure_future(ask(function, what="sleep", seconds=20))
    await until(lambda: any(worker.is_busy for worker in function._workers))
    waiting = asyncio.ensure_future(ask(function, n=2))
    await until(lambda: function._waiting)
    await function.close()
    assert (await running)[1]["errorType"] == "Runtime.ExitError"
    with pytest.raises(InvocationRefused, match="being ended"):
        await waiting


def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


@real
@pytest.mark.parametrize("moments", [0.0, 0.002, 0.02])
async def test_a_function_that_is_ended_while_it_starts_leaves_no_process(functions, moments):
    before = children()
    function = functions(inline="import time; time.sleep(20)")
    starting = asyncio.ensure_future(ask(function, n=1))
    await until(lambda: function._workers)
    await asyncio.sleep(moments)
    await function.close()
    try:
        assert (await starting)[1]["errorType"] == "Runtime.ExitError"
    except InvocationRefused as refused:
        assert "being ended" in str(refused)
    assert (function._workers, children() - before) == (set(), set())


OPEN = """
import os
folder = "/proc/self/fd/"
paths = [os.readlink(folder + name) for name in os.listdir(folder) if os.path.exists(folder + name)]
def handler(event, context): return paths
"""


@real
async def test_a_worker_has_no_descriptor_of_ours_even_an_inheritable_one(functions, tmp_path):
    file = tmp_path / "secret"
    with file.open("w") as opened:
        os.set_inheritable(opened.fileno(), True)
        assert str(file) not in (await ask(functions(inline=OPEN)))[1]


@real
async def test_an_ended_function_leaves_no_process(functions):
    function = functions()
    pid = (await ask(function, what="pid"))[1]
    await function.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(InvocationRefused, match="being ended"):
        await function.invoke(b"{}")


@real
async def test_a_runtime_that_is_not_known_is_refused_with_what_is(functions):
    with pytest.raises(InvocationRefused, match="'ruby3.3' cannot be run here; expected one such as"):
        await functions(runtime="ruby3.3").invoke(b"{}")


@real
async def test_code_that_is_not_there_is_refused(functions, tmp_path):
    with pytest.raises(InvocationRefused, match="its code is not there"):
        await functions(inline=None, code=tmp_path / "nothing", where="template.yaml:3").invoke(b"{}")


HOST = """
import asyncio, sys, uvloop
from pathlib import Path
from trunkline.functions.environment import Surroundings
from trunkline.functions.pool import LocalFunction
from trunkline.model.functions import FunctionDefinition

async def main():
    text = "import os, time\\ndef handler(*_):\\n print(os.getpid(), flush=True)\\n time.sleep(30)"
    function = LocalFunction(
        FunctionDefinition("talk", "Talk", "python3.11", "index.handler", inline=text, seconds=60),
        Surroundings("us-east-1", "0" * 12, Path(sys.argv[1]), lambda name, line: print(line, flush=True)),
    )
    await function.invoke(b"{}")

uvloop.run(main())
"""


def test_workers_end_with_our_process_even_if_it_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOST, tmp_path], stdout=subprocess.PIPE, text=True) as host:
        lines = iter(host.stdout.readline, "")
        pid = next(
            int(line) for line in lines if line.strip().isdigit()
        )  # busy: it hears nothing of its connection's end
        assert not is_gone(pid)
        host.kill()
    deadline = time.monotonic() + 5
    while not is_gone(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(pid)


@real
async def test_code_that_comes_later_is_found_by_the_next_invocation(functions, tmp_path):
    function = functions(inline=None, code=tmp_path / "later", where="template.yaml:3")
    with pytest.raises(InvocationRefused, match="its code is not there"):
        await function.invoke(b"{}")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "index.py").write_text(PYTHON)
    assert (await ask(function, n=1))[1]["event"] == {"n": 1}


@real
async def test_a_worker_that_began_with_code_that_has_changed_since_is_not_used(functions, tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "index.py").write_text(PYTHON)
    function = functions(inline=None, code=code)
    first = asyncio.ensure_future(ask(function, n=1))
    await until(lambda: function._workers)
    (code / "index.py").write_text("def handler(event, context): return 'new'")
    function.replace()
    assert await first == (None, "new")
