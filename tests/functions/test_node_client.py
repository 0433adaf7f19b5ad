"""The runtime client for Node where AWS's own is not installed: it does what AWS's does."""

import asyncio
import json
import re

import pytest
import uvloop

from trunkline.functions.environment import Surroundings
from trunkline.functions.pool import LocalFunction
from trunkline.model.functions import FunctionDefinition

COMMON = "const { word } = require('greeting'); exports.handler = async () => word;"
MODULE = "import { word } from 'greeting'; export const handler = async () => word;"


@pytest.fixture
def invoke(tmp_path):
    """Invokes a function of these files, where the package `greeting` is at hand; `said` is what it wrote."""
    package = tmp_path / "packages" / "node_modules" / "greeting"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "greeting", "main": "index.js"}')
    (package / "index.js").write_text("exports.word = 'hello';")
    said = []

    def ask(files, handler="app.handler", runtime="nodejs20.x", times=1, **given):
        code = tmp_path / "code"
        for name, text in files.items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_text(text)

        async def whole():
            definition = FunctionDefinition("talk", "Talk", runtime, handler, code=code, seconds=5, **given)
            say = lambda name, line: said.append(line)  # noqa: E731
            around = Surroundings("us-east-1", "0" * 12, tmp_path / "scratch", say, node_modules=package.parent)
            function = LocalFunction(definition, around)
            try:
                async with asyncio.timeout(20):
                    return [await function.invoke(b'{"n": 1}') for _ in range(times)]
            finally:
                await function.close()

        return uvloop.run(whole())

    ask.said = said
    return ask


@pytest.fixture
def answer(invoke):
    """What a function of these files answers, or what is told of its error."""

    def ask(files, *args, **kwargs):
        (invocation,) = invoke(files, *args, **kwargs)
        return json.loads(invocation.payload)

    return ask


@pytest.mark.parametrize(
    "files",
    [
        {"app.js": COMMON},
        {"app.cjs": COMMON},
        {"app.mjs": MODULE},
        {"app.js": MODULE, "package.json": '{"type": "module"}'},
        {"app.js": COMMON, "package.json": "{}"},
        {"app.js": MODULE},
    ],
    ids=["js", "cjs", "mjs", "module", "common", "syntax"],
)
def test_a_handler_finds_the_packages_at_hand(answer, files):
    assert answer(files) == "hello"


def test_a_handler_may_be_in_a_folder(answer):
    assert answer({"src/deep/app.js": COMMON}, "src/deep/app.handler") == "hello"


def test_a_package_that_is_nowhere_is_told_as_lambda_does(answer):
    told = answer({"app.mjs": "import 'nowhere'; export const handler = () => 1;"})
    assert "Cannot find package 'nowhere'" in told["errorMessage"]
    told = answer({"app.js": "require('nowhere')"})
    assert told["errorType"] == "Runtime.ImportModuleError"
    assert told["errorMessage"].startswith("Error: Cannot find module 'nowhere'\nRequire stack:\n- ")
    assert told["trace"][0] == "Runtime.ImportModuleError: Error: Cannot find module 'nowhere'"


# How a handler may end.

LATER = "setTimeout(() => globalThis.done = 'later', 50);"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(e, c, back) => setTimeout(() => back(null, 'called back'), 1)", "called back"),
        ("(e, c, back) => { back(null, 'first'); back(null, 'second'); }", "first"),
        ("async (e, c, back) => { back(null, 'called'); return 'returned'; }", "called"),
        ("(e, c) => c.succeed('succeeded')", "succeeded"),
        ("(e, c) => c.done(null, 'done')", "done"),
        ("() => ({ then: (resolved) => resolved('thenable') })", "thenable"),
        ("() => 'returned by what is not async'", None),
        ("(e, c, back) => 1", None),
        ("() => new Promise(() => {})", None),
        ("async () => undefined", None),
        ("async () => ({ n: 1 })", {"n": 1}),
    ],
)
def test_a_handler_ends_as_in_lambda(answer, text, expected):
    assert answer({"app.js": f"exports.handler = {text};"}) == expected


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("(e, c, back) => back(new TypeError('no'))", "TypeError", "no"),
        ("(e, c, back) => back('no')", "string", "no"),
        ("(e, c) => c.fail(new RangeError('no'))", "RangeError", "no"),
        ("() => { throw new TypeError('no'); }", "TypeError", "no"),
        ("async () => { throw 'no'; }", "string", "no"),
        ("async () => { const a = {}; a.a = a; return a; }", "Error", "Unable to stringify response body"),
    ],
)
def test_a_handler_fails_as_in_lambda(invoke, text, kind, message):
    (invocation,) = invoke({"app.js": f"exports.handler = {text};"})
    told = json.loads(invocation.payload)
    assert (invocation.function_error, told["errorType"], told["errorMessage"]) == ("Unhandled", kind, message)


@pytest.mark.parametrize(("waits", "seen"), [("true", "later"), ("false", None)])
def test_a_callback_waits_for_what_is_left_to_be_done_unless_told_not_to(answer, waits, seen):
    text = f"(e, c, back) => {{ c.callbackWaitsForEmptyEventLoop = {waits}; {LATER} const a = {{ toJSON: () => globalThis.done ?? null }}; back(null, a); }}"
    assert answer({"app.js": f"exports.handler = {text};"}) == seen


def test_a_worker_goes_on_after_a_handler_that_forgot_to_call_back(invoke):
    text = "let n = 0; exports.handler = (e, c, back) => { n += 1; if (n > 1) back(null, n); };"
    assert [json.loads(one.payload) for one in invoke({"app.js": text}, times=3)] == [None, 2, 3]


def test_callbacks_are_no_more_as_of_nodejs24(answer):
    told = answer({"app.js": "exports.handler = (e, c, back) => back();"}, runtime="nodejs24.x")
    assert told["errorType"] == "Runtime.CallbackHandlerDeprecated"
    assert answer({"app.js": "exports.handler = () => 'returned';"}, runtime="nodejs24.x") == "returned"


# What is wrong with it.


@pytest.mark.parametrize(
    ("files", "handler", "kind", "message"),
    [
        ({"app.js": "exports.other = 1"}, "app.handler", "HandlerNotFound", "app.handler is undefined or not exported"),
        ({"app.js": "exports.handler = 1"}, "app.handler", "HandlerNotFound", "app.handler is not a function"),
        ({"app.js": "const = 1"}, "app.handler", "UserCodeSyntaxError", "SyntaxError: Unexpected token '='"),
        ({"app.mjs": "const = 1"}, "app.handler", "UserCodeSyntaxError", "SyntaxError: Unexpected token '='"),
        ({"app.js": ""}, "app", "MalformedHandlerName", "Bad handler"),
        ({"app.js": ""}, "../app.handler", "MalformedHandlerName", "'../app.handler' is not a valid handler name"),
        ({"app.js": ""}, "gone.handler", "ImportModuleError", "Error: Cannot find module 'gone'"),
        (
            {"app.js": "exports.handler = awslambda.streamifyResponse(async (event, stream) => stream.end());"},
            "app.handler",
            "MalformedStreamingHandler",
            "app.handler streams its answer",
        ),
    ],
)
def test_what_cannot_begin_is_told_with_lambdas_kind_of_error(invoke, files, handler, kind, message):
    (invocation,) = invoke(files, handler)
    told = json.loads(invocation.payload)
    assert (invocation.function_error, told["errorType"]) == ("Unhandled", f"Runtime.{kind}")
    assert told["errorMessage"].startswith(message)
    assert told["trace"][0].startswith(f"Runtime.{kind}: ")


@pytest.mark.parametrize("suffix", ["js", "mjs"])
def test_a_syntax_error_is_said_with_its_file_and_line_wherever_it_is(invoke, suffix):
    load = "require('./deep.js')" if suffix == "js" else "import './deep.mjs'"
    invoke({f"app.{suffix}": load, f"deep.{suffix}": "let ok = 1;\nconst = 2;"})
    assert any(line.endswith(f"deep.{suffix}:2") for line in invoke.said), invoke.said
    assert "SyntaxError: Unexpected token '='" in invoke.said


def test_a_promise_that_nobody_handles_ends_the_worker_and_is_the_answer(invoke):
    text = (
        "exports.handler = () => { Promise.reject(new Error('lost')); return new Promise((r) => setTimeout(r, 999)); };"
    )
    (invocation,) = invoke({"app.js": text})
    told = json.loads(invocation.payload)
    assert (told["errorType"], told["errorMessage"]) == ("Runtime.UnhandledPromiseRejection", "Error: lost")
    assert any(
        "ERROR   Unhandled Promise Rejection Runtime.UnhandledPromiseRejection: Error: lost" in line
        for line in invoke.said
    )


def test_what_nobody_catches_ends_the_worker_and_is_the_answer(answer):
    told = answer(
        {"app.js": "exports.handler = (e, c, back) => setTimeout(() => { throw new RangeError('lost'); }, 1);"}
    )
    assert (told["errorType"], told["errorMessage"]) == ("RangeError", "lost")


# What it writes.


def test_what_is_logged_has_its_time_its_request_and_its_level(invoke):
    text = "exports.handler = async (e, c) => { console.log('a %s', 'b', { n: 1 }); console.error('bad'); return c.awsRequestId; };"
    (invocation,) = invoke({"app.js": text})
    lines = [re.split(" {2,}", line) for line in invoke.said[1:]]
    assert [line[1:] for line in lines] == [
        [json.loads(invocation.payload), "INFO", "a b { n: 1 }"],
        [json.loads(invocation.payload), "ERROR", "bad"],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line[0]) for line in lines)


def test_what_has_several_lines_stays_readable(invoke):
    invoke({"app.js": "exports.handler = async () => { console.log('one\\ntwo'); throw new Error('no'); };"})
    assert invoke.said[1].endswith("INFO    one")
    assert invoke.said[2] == "two"
    assert invoke.said[3].endswith("ERROR   Invoke Error Error: no")
    assert re.match(r"    at .*app\.js:1:", invoke.said[4])


def test_the_context_has_what_lambdas_has(answer):
    names = answer({"app.js": "exports.handler = async (e, c) => Object.keys(c).sort();"})
    assert names == sorted([
        "awsRequestId", "callbackWaitsForEmptyEventLoop", "clientContext", "done", "fail", "functionName",
        "functionVersion", "getRemainingTimeInMillis", "identity", "invokedFunctionArn", "logGroupName",
        "logStreamName", "memoryLimitInMB", "succeed",
    ])  # fmt: skip


# Under another client than ours.

OTHER_CLIENT = """
const { handler } = await import(process.env.LAMBDA_TASK_ROOT + "/app.mjs");
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const next = await fetch(`${api}/next`);
const body = JSON.stringify(await handler(await next.json()));
await fetch(`${api}/${next.headers.get("lambda-runtime-aws-request-id")}/response`, { method: "POST", body });
"""


def test_a_module_finds_the_packages_at_hand_under_awss_client_too(answer, tmp_path):
    client = tmp_path / "packages" / "node_modules" / "aws-lambda-ric"
    client.mkdir()
    (client / "index.mjs").write_text(OTHER_CLIENT)
    (client / "package.json").write_text('{"version": "3.3.0"}')
    assert answer({"app.mjs": MODULE}) == "hello"


LOGS = """
exports.handler = async () => {
  console.debug("too little");
  console.log("hello %s", "world");
  console.info({ user: { id: 1 } });
  console.warn(new RangeError("far off"));
  console.error("not", new TypeError("good"));
  console.info(1n);
};
"""


def test_what_is_logged_as_json_has_the_members_of_lambda(invoke):
    invoke({"app.js": LOGS}, log_level="INFO")
    lines = [json.loads(line) for line in invoke.said[1:]]  # the first is about the runtime
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp")) for line in lines)
    assert len({line.pop("requestId") for line in lines}) == 1
    far, good = lines[2]["message"].pop("stackTrace"), lines[3].pop("stackTrace")
    assert (far[0], good[0]) == ("RangeError: far off", "TypeError: good")
    assert lines[3].pop("message").startswith("not TypeError: good\n")
    assert lines == [
        {"level": "INFO", "message": "hello world"},
        {"level": "INFO", "message": {"user": {"id": 1}}},
        {"level": "WARN", "message": {"errorType": "RangeError", "errorMessage": "far off"}},
        {"level": "ERROR", "errorType": "TypeError", "errorMessage": "good"},
        {"level": "INFO", "message": "1n"},
    ]


def test_what_nobody_handles_is_logged_as_json_too(invoke):
    invoke({"app.js": "exports.handler = async () => { throw new RangeError('far off'); };"}, log_level="ERROR")
    [line] = [json.loads(line) for line in invoke.said[1:]]
    assert (line["level"], line["errorType"], line["errorMessage"]) == ("ERROR", "RangeError", "far off")
