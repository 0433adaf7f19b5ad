"""Functions in AWS, through the real boto3 and a Lambda endpoint of our own on loopback."""

import asyncio
import http.server
import json
import threading

import pytest

from trunkline.errors import ConfigurationError
from trunkline.functions.aws import AwsFunctions
from trunkline.model.functions import InvocationRefused


class Lambda(http.server.BaseHTTPRequestHandler):
    """Answers as Lambda's Invoke API does; the function's name says what with."""

    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.split("/")[3]
        self.seen.append((name, json.loads(body), self.headers["Authorization"]))
        if name == "slow":
            threading.Event().wait(0.5)
        status, headers, answer = {
            "echo": (200, {}, body),
            "slow": (200, {}, body),
            "fails": (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorMessage":"no","errorType":"ValueError"}'),
            "busy": (429, {"x-amzn-ErrorType": "TooManyRequestsException"}, b'{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}'),
            "secret": (403, {"x-amzn-ErrorType": "AccessDeniedException"}, b'{"Message":"not authorized to perform: lambda:InvokeFunction"}'),
        }.get(name, (404, {"x-amzn-ErrorType": "ResourceNotFoundException"}, b'{"Message":"Function not found"}'))  # fmt: skip
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def functions(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    Lambda.seen.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lambda) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        functions = AwsFunctions(region="eu-west-1", endpoint=f"http://127.0.0.1:{server.server_port}")
        yield functions
        functions.close()
        server.shutdown()
        thread.join()


def invoke(functions, name, event=None):
    return asyncio.run(functions.function(name).invoke(json.dumps(event or {}).encode()))


def test_a_function_is_invoked_with_the_event_and_answers(functions):
    answer = invoke(functions, "echo", {"a": [1, "ü"]})
    assert (json.loads(answer.payload), answer.function_error) == ({"a": [1, "ü"]}, None)
    ((name, event, authorization),) = Lambda.seen
    assert (name, event) == ("echo", {"a": [1, "ü"]})
    assert "/eu-west-1/lambda/aws4_request" in authorization


def test_a_function_that_failed_says_so_in_its_answer(functions):
    answer = invoke(functions, "fails")
    assert (answer.function_error, json.loads(answer.payload)["errorType"]) == ("Unhandled", "ValueError")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("busy", "not run: .*TooManyRequestsException"),
        ("secret", "not run: .*AccessDeniedException"),
        ("missing", "not run: .*Function not found"),
    ],
)
def test_a_function_that_is_not_run_is_refused_once_and_not_tried_again(functions, name, why):
    with pytest.raises(InvocationRefused, match=why):
        invoke(functions, name)
    assert len(Lambda.seen) == 1, "a second try of ours could be a second effect"


def test_nobody_there_is_not_reached():
    functions = AwsFunctions(region="eu-west-1", endpoint="http://127.0.0.1:1")
    with pytest.raises(InvocationRefused, match="not reached"):
        invoke(functions, "echo")
    functions.close()


def test_invocations_run_side_by_side(functions):
    async def several():
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(functions.function("slow").invoke(b"{}") for _ in range(10)))
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(several()) < 3


def test_nothing_of_aws_is_needed_before_the_first_invocation(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "boto3", None)
    functions = AwsFunctions()
    function = functions.function("echo")
    assert function.name == "echo"
    with pytest.raises(ConfigurationError, match=r"functions in AWS need boto3: pip install 'trunkline\[aws\]'"):
        asyncio.run(function.invoke(b"{}"))
    functions.close()
