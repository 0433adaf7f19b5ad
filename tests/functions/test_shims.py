"""Unmodified clients in processes of their own, led to a server that writes down what reaches it."""

import asyncio
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trunkline.functions.certificates import local_certificates
from trunkline.functions.endpoints import variables
from trunkline.functions.npm import find_node
from trunkline.gateway.admission import Admission
from trunkline.gateway.callers import Callers
from trunkline.gateway.stages import EXECUTE_API

PACKAGES = Path(__file__).parents[2] / ".venv" / "node" / "node_modules"
DOMAIN = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
WITHOUT_API = "execute-api.eu-west-1.amazonaws.com"
PATH = "/prod/@connections/abc%3D"


class Recording(http.server.BaseHTTPRequestHandler):
    """Answers as each of AWS's services would; the client's name for it and the path are kept."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.headers["Host"], self.path, body.decode()))
        answer = b'{"TableNames":["here"]}' if "X-Amz-Target" in self.headers else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recording) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def run(server, tmp_path):
    """Run a program as a worker would, to its end; returns what it printed."""

    def run(*command, said="", **more):
        url = f"http://127.0.0.1:{server.server_port}"
        found = variables(
            host="127.0.0.1",
            port=server.server_port,
            region="eu-west-1",
            stages=[("a1b2c3d4e5", "prod")],
            dynamodb=url,
            names=["chat.example.com"],
        )
        keys = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        quiet = {
            "AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE": "1",
            "NODE_NO_WARNINGS": "1",
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
        }
        environment = found | keys | quiet | more
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, said)
        return done.stdout.strip()

    return run


@pytest.fixture
def python(run):
    return lambda program, **more: run(sys.executable, "-c", program, **more)


@pytest.fixture
def node(run, tmp_path):
    (tmp_path / "node_modules").symlink_to(PACKAGES)

    def node(program, suffix="cjs", **more):
        file = tmp_path / f"program.{suffix}"
        file.write_text(program)
        return run(find_node(), file, **more)

    return node


BOTO3 = """
import boto3
client = boto3.client("apigatewaymanagementapi"{endpoint})
client.post_to_connection(ConnectionId="abc=", Data=b"hello")
"""
SECOND = """
const AWS = require('aws-sdk');
new AWS.ApiGatewayManagementApi({{ apiVersion: '2018-11-29'{endpoint} }})
  .postToConnection({{ ConnectionId: 'abc=', Data: 'hello' }}).promise();
"""
THIRD = """
const {{ ApiGatewayManagementApiClient, PostToConnectionCommand }} = require('@aws-sdk/client-apigatewaymanagementapi');
new ApiGatewayManagementApiClient({{{endpoint}}}).send(new PostToConnectionCommand({{ ConnectionId: 'abc=', Data: 'hello' }}));
"""


def calls():
    """Client, endpoint as its code writes it, and what has to arrive."""
    for form, url in {"the event's name": f"https://{DOMAIN}/prod", "another Api's name": "https://zzzzzzzzzz.execute-api.us-east-1.amazonaws.com/prod", "a name of its own": "https://chat.example.com/prod"}.items():  # fmt: skip
        host = url.split("/")[2]
        yield pytest.param("python", BOTO3.format(endpoint=f", endpoint_url='{url}'"), host, id=f"boto3, {form}")
        yield pytest.param("node", SECOND.format(endpoint=f", endpoint: '{url}'"), host, id=f"the second SDK, {form}")
        yield pytest.param("node", THIRD.format(endpoint=f"endpoint: '{url}'"), host, id=f"the third SDK, {form}")
    yield pytest.param(
        "node", SECOND.format(endpoint=f", endpoint: '{DOMAIN}/prod'"), DOMAIN, id="the second SDK, no scheme"
    )
    yield pytest.param("python", BOTO3.format(endpoint=""), None, id="boto3, no endpoint")
    yield pytest.param("node", SECOND.format(endpoint=""), None, id="the second SDK, no endpoint")
    yield pytest.param("node", THIRD.format(endpoint=""), None, id="the third SDK, no endpoint")


@pytest.mark.parametrize(("client", "program", "host"), list(calls()))
def test_a_post_arrives_with_the_host_and_path_that_its_client_wrote(server, request, client, program, host):
    request.getfixturevalue(client)(program)
    assert server.seen == [(host or f"127.0.0.1:{server.server_port}", PATH, "hello")]


@pytest.mark.parametrize(
    "headers", [f"{{ host: '{WITHOUT_API}' }}", "{}", "undefined"], ids=["a Host", "none", "no headers"]
)
def test_a_call_without_an_api_arrives_with_a_host_that_the_gateway_takes(server, node, headers):
    node(f"""
require('https').request({{ host: '{WITHOUT_API}', path: '/@connections/abc%3D', method: 'POST', headers: {headers} }},
  (answer) => answer.resume()).end();
""")
    ((host, path, _),) = server.seen
    assert path == PATH
    assert Callers(Admission(), EXECUTE_API).host(host) is not None


@pytest.mark.parametrize(
    ("client", "program", "host"),
    [
        ("python", "import boto3; print(boto3.client('dynamodb').list_tables()['TableNames'][0])", None),
        (
            "python",
            "import boto3; print(boto3.client('dynamodb', endpoint_url='https://dynamodb.eu-west-1.amazonaws.com').list_tables()['TableNames'][0])",
            "dynamodb.eu-west-1.amazonaws.com",
        ),
        (
            "node",
            "const AWS = require('aws-sdk'); new AWS.DynamoDB().listTables().promise().then((all) => console.log(all.TableNames[0]));",
            "dynamodb.eu-west-1.amazonaws.com",
        ),
        (
            "node",
            "const { DynamoDB } = require('@aws-sdk/client-dynamodb'); new DynamoDB({}).listTables({}).then((all) => console.log(all.TableNames[0]));",
            None,
        ),
    ],
    ids=["boto3", "boto3, an endpoint in its code", "the second SDK", "the third SDK"],
)
def test_tables_are_found_where_they_are_here(server, request, client, program, host):
    assert request.getfixturevalue(client)(program) == "here"
    assert [seen[:2] for seen in server.seen] == [(host or f"127.0.0.1:{server.server_port}", "/")]


def test_the_second_sdk_calls_functions_that_are_here(server, node):
    node("const AWS = require('aws-sdk'); new AWS.Lambda().invoke({ FunctionName: 'f', Payload: '{}' }).promise();")
    assert server.seen == [("lambda.eu-west-1.amazonaws.com", "/2015-03-31/functions/f/invocations", "{}")]


@pytest.mark.parametrize(
    "program",
    [
        f"import http.client; c = http.client.HTTPSConnection('{DOMAIN}'); c.request('GET', '/prod?a=b'); print(c.getresponse().status)",
        f"import urllib.request; print(urllib.request.urlopen('https://{DOMAIN}/prod?a=b').status)",
        f"import urllib3; print(urllib3.PoolManager().request('GET', 'https://{DOMAIN}/prod?a=b').status)",
    ],
    ids=["http.client", "urllib", "urllib3"],
)
def test_other_clients_of_python_are_led_too(server, python, program):
    assert python(program) == "200"
    assert server.seen == [(DOMAIN, "/prod?a=b", "")]


@pytest.mark.parametrize(
    ("program", "suffix"),
    [
        (
            f"require('https').get('https://{DOMAIN}/prod?a=b', (answer) => {{ console.log(answer.statusCode); answer.resume(); }});",
            "cjs",
        ),
        (
            f"import {{ get }} from 'node:https'; get('https://{DOMAIN}/prod?a=b', (answer) => {{ console.log(answer.statusCode); answer.resume(); }});",
            "mjs",
        ),
        (
            f"const answer = await fetch('https://{DOMAIN}/prod?a=b'); console.log(answer.status); process.exit();",
            "mjs",
        ),
        (
            (
                "import { connect } from 'node:tls'; "
                f"const socket = connect(443, '{DOMAIN}', () => socket.end('GET /prod?a=b HTTP/1.1\\r\\nHost: {DOMAIN}\\r\\nConnection: close\\r\\n\\r\\n')); "
                "socket.once('data', (data) => console.log(data.toString().split(' ')[1]));"
            ),
            "mjs",
        ),
    ],
    ids=["https", "an ES module", "fetch", "tls"],
)
def test_other_clients_of_node_are_led_too(server, node, program, suffix):
    assert node(program, suffix) == "200"
    assert server.seen == [(DOMAIN, "/prod?a=b", "")]


def test_a_connection_is_kept_and_used_again(server, node):
    program = f"""
const https = require('https');
const agent = new https.Agent({{ keepAlive: true, maxSockets: 1 }});
const ask = () => new Promise((done) => https.get({{ host: '{DOMAIN}', path: '/prod', agent }}, (answer) => {{
  const port = answer.socket.localPort;
  answer.resume().on('end', () => setTimeout(done, 10, port));
}}));
ask().then(async (first) => {{ console.log(first === await ask()); agent.destroy(); }});
"""
    assert node(program) == "true"
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("program", "suffix"),
    [
        ("console.log(require('/opt/nodejs/words').hello, require('/opt/nodejs/words.js').hello);", "cjs"),
        ("import { hello } from '/opt/nodejs/words.js'; console.log(hello, (await import(new URL('file:/opt/nodejs/words.js').href)).hello);", "mjs"),
        ("import('/opt/nodejs/words.js').then(({ hello }) => console.log(hello, require('/opt/nodejs/words').hello));", "cjs"),
    ],
    ids=["require", "import", "both"],
)  # fmt: skip
def test_modules_of_layers_are_found_in_opt(node, tmp_path, program, suffix):
    (tmp_path / "my layers" / "nodejs").mkdir(parents=True)
    (tmp_path / "my layers" / "nodejs" / "words.js").write_text("exports.hello = 'hi';")
    assert node(program, suffix, TRUNKLINE_LAYERS=str(tmp_path / "my layers")) == "hi hi"


@pytest.mark.parametrize(
    ("program", "suffix"),
    [
        ("try { require('/opt/nodejs/none.js'); } catch (error) { console.log(error.message.split('\\n')[0]); }", "cjs"),
        ("await import('/opt/nodejs/none.js').catch((error) => console.log(error.message.replace(/ imported from.*/, '')));", "mjs"),
    ],
    ids=["require", "import"],
)  # fmt: skip
def test_a_module_that_is_in_no_layer_is_missed_by_the_name_that_its_code_has(node, tmp_path, program, suffix):
    assert node(program, suffix, TRUNKLINE_LAYERS=str(tmp_path)) == "Cannot find module '/opt/nodejs/none.js'"


def test_an_error_within_a_layer_is_told_as_it_is(node, tmp_path):
    (tmp_path / "nodejs").mkdir()
    (tmp_path / "nodejs" / "broken.js").write_text("require('./missing');")
    program = "try { require('/opt/nodejs/broken.js'); } catch (error) { console.log(error.message.split('\\n')[0]); }"
    assert node(program, TRUNKLINE_LAYERS=str(tmp_path)) == "Cannot find module './missing'"


LISTENER = """
import socket, ssl, threading
server = socket.create_server(("127.0.0.1", 0))
heard = []
def hear():
    accepted = server.accept()[0]
    heard.append(accepted.recv(1))
    accepted.close()
hearing = threading.Thread(target=hear)
hearing.start()
plain = socket.create_connection(server.getsockname())
plain.settimeout(0.3)
try:
    ssl.create_default_context().wrap_socket(plain, server_hostname=NAME)
except OSError:
    plain.close()
    hearing.join()
    print("TLS" if heard == [b"\\x16"] else heard)
"""


@pytest.mark.parametrize(
    "name", ["example.com", "s3.eu-west-1.amazonaws.com", f"{DOMAIN}.example.com", f"{DOMAIN[:-4]}.org", DOMAIN]
)
def test_a_connection_that_was_not_led_stays_as_it_was(python, name):
    # DOMAIN itself, where a proxy is at the other end.
    assert python(LISTENER.replace("NAME", repr(name))) == "TLS"


def test_only_https_is_led(python):
    program = f"""
import socket
try:
    socket.getaddrinfo({DOMAIN!r}, 80, flags=socket.AI_NUMERICHOST)
except socket.gaierror:
    print("left alone")
"""
    assert python(program) == "left alone"


NOT_LED = """
const net = require('net');
const tls = require('tls');
const server = net.createServer((socket) => socket.once('data', (data) => {
  console.log(data[0] === 0x16 ? 'TLS' : data.toString());
  process.exit();
}));
server.listen(0, '127.0.0.1', () => tls.connect(OPTIONS).on('error', () => {}));
"""


@pytest.mark.parametrize(
    "options",
    [
        f"{{ host: '127.0.0.1', port: server.address().port, servername: '{DOMAIN}' }}",
        f"{{ socket: net.connect(server.address().port, '127.0.0.1'), port: 443, servername: '{DOMAIN}' }}",
    ],
    ids=["another port", "through a proxy"],
)
def test_what_node_does_not_have_to_lead_stays_as_it_was(node, options):
    assert node(NOT_LED.replace("OPTIONS", options)) == "TLS"


SAID = (
    "sqs.eu-west-1.amazonaws.com is not here: calls to it go to AWS, and no credentials of yours with them; "
    "a variable such as AWS_ENDPOINT_URL_SQS leads them elsewhere\n"
)


def test_python_says_once_of_a_service_that_is_not_here_where_calls_go(python):
    python(
        """
import contextlib, socket
for name in ("sqs.eu-west-1.amazonaws.com", "SQS.eu-west-1.amazonaws.com.", "sqs.example.com", None):
    with contextlib.suppress(socket.gaierror):
        socket.getaddrinfo(name, 443, flags=socket.AI_NUMERICHOST)
with contextlib.suppress(socket.gaierror):
    socket.getaddrinfo("s3.eu-west-1.amazonaws.com", 80, flags=socket.AI_NUMERICHOST)
""",
        said=SAID,
    )


def test_node_says_once_of_a_service_that_is_not_here_where_calls_go(node):
    node(
        """
const tls = require('tls');
const lookup = (name, options, done) => done(new Error('there is no look-up in a test'));
for (const host of ['sqs.eu-west-1.amazonaws.com', 'SQS.eu-west-1.amazonaws.com.', 'sqs.example.com'])
  tls.connect({ host, port: 443, lookup }).on('error', () => {});
tls.connect({ host: 's3.eu-west-1.amazonaws.com', port: 8443, lookup }).on('error', () => {});
""",
        said=SAID,
    )


ELSEWHERE = {
    "AWS_ENDPOINT_URL_SQS": "sqs.eu-west-1.amazonaws.com",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": "secretsmanager.eu-west-1.amazonaws.com",
    "AWS_ENDPOINT_URL_EVENTBRIDGE": "events.eu-west-1.amazonaws.com",
    "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER": "cognito-idp.eu-west-1.amazonaws.com",
}


@pytest.mark.parametrize(("variable", "host"), ELSEWHERE.items())
@pytest.mark.parametrize("client", ["python", "node"])
def test_a_service_is_where_its_variable_says_for_code_that_does_not_read_it(server, request, client, variable, host):
    program = {
        "python": f"import http.client; c = http.client.HTTPSConnection('{host}'); c.request('GET', '/a'); print(c.getresponse().status)",
        "node": f"require('https').get('https://{host}/a', (answer) => {{ console.log(answer.statusCode); answer.resume(); }});",
    }[client]
    url = f"http://127.0.0.1:{server.server_port}"
    assert request.getfixturevalue(client)(program, **{variable: url}) == "200"
    assert server.seen == [(host, "/a", "")]


@pytest.mark.parametrize(
    "host",
    ["s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com", "b.s3.amazonaws.com", "my.b.s3.eu-west-1.amazonaws.com"],
)  # fmt: skip
@pytest.mark.parametrize("client", ["python", "node"])
def test_buckets_are_where_their_variable_says_by_every_name(server, request, client, host):
    program = {
        "python": f"import http.client; c = http.client.HTTPSConnection('{host}'); c.request('GET', '/a'); c.getresponse()",
        "node": f"require('https').get('https://{host}/a', (answer) => answer.resume());",
    }[client]
    request.getfixturevalue(client)(program, AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{server.server_port}")
    assert server.seen == [(host, "/a", "")]


def test_the_second_sdk_finds_a_bucket_where_its_variable_says(server, node):
    program = "const AWS = require('aws-sdk'); new AWS.S3().getObject({ Bucket: 'bucket', Key: 'k' }).promise();"
    node(program, AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{server.server_port}")
    assert server.seen == [("bucket.s3.eu-west-1.amazonaws.com", "/k", "")]


@pytest.mark.parametrize("client", ["python", "node"])
def test_tables_that_are_not_here_are_such_a_service(request, client):
    program = {
        "python": "import socket, contextlib\nwith contextlib.suppress(OSError): socket.getaddrinfo('dynamodb.eu-west-1.amazonaws.com', 443, flags=socket.AI_NUMERICHOST)",
        "node": "require('tls').connect({ host: 'dynamodb.eu-west-1.amazonaws.com', port: 443, lookup: (name, options, done) => done(new Error('none')) }).on('error', () => {});",
    }[client]
    request.getfixturevalue(client)(program, said=SAID.replace("sqs.eu", "dynamodb.eu"), AWS_ENDPOINT_URL_DYNAMODB="")


def test_asyncio_clients_are_led_over_tls(python, tmp_path):
    """A client that puts TLS on by itself speaks it to the gateway, and trusts in this machine's authority."""
    made = local_certificates(tmp_path / "kept", ["*.execute-api.eu-west-1.amazonaws.com"])

    async def answer(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        writer.write(asked)
        await writer.drain()
        writer.close()

    client = f"""
import asyncio
async def ask():
    reader, writer = await asyncio.open_connection({DOMAIN!r}, 443, ssl=True)
    writer.write(b"GET /prod HTTP/1.1\\r\\n\\r\\n")
    print((await reader.readline()).decode().strip())
    writer.close()
asyncio.run(ask())
"""

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=made.context)
        port = server.sockets[0].getsockname()[1]
        lead = {"TRUNKLINE_LEAD_TO": f"127.0.0.1:{port}", "TRUNKLINE_LEAD_CA": str(made.ca)}
        async with server:
            return await asyncio.to_thread(python, client, **lead)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == "GET /prod HTTP/1.1"


def test_the_sitecustomize_behind_it_runs_too(python, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sitecustomize.py").write_text("import builtins; builtins.mine = __name__, __file__")
    path = os.pathsep.join(
        [variables(host="127.0.0.1", port=1, region="eu-west-1", stages=[])["PYTHONPATH"], str(tmp_path / "mine")]
    )
    program = "import sys; print(mine == ('sitecustomize', sys.modules['sitecustomize'].__file__), ssl.SSLContext.wrap_socket.__name__)"
    assert python(f"import ssl; {program}", PYTHONPATH=path) == "True on_socket"


def test_it_leads_the_functions_of_the_python_runtime_client(server, run, tmp_path):
    """Lambda's own runtime client, one event, from a runtime API that is played here."""
    (tmp_path / "app.py").write_text(
        "import boto3\n"
        "def handler(event, context):\n"
        "    url = 'https://' + event['domainName'] + '/prod'\n"
        "    boto3.client('apigatewaymanagementapi', endpoint_url=url).post_to_connection(ConnectionId='abc=', Data=b'hello')\n"
        "    import os; os._exit(0)\n"
    )

    class Runtime(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            event = json.dumps({"domainName": DOMAIN}).encode()
            self.send_response(200)
            for name, value in {"Lambda-Runtime-Aws-Request-Id": "1", "Content-Type": "application/json", "Lambda-Runtime-Deadline-Ms": "9999999999999", "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:f", "Content-Length": str(len(event))}.items():  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime) as runtime:
        thread = threading.Thread(target=runtime.serve_forever, args=(0.02,))
        thread.start()
        api = f"127.0.0.1:{runtime.server_port}"
        run(
            sys.executable,
            "-m",
            "awslambdaric",
            "app.handler",
            AWS_LAMBDA_RUNTIME_API=api,
            LAMBDA_TASK_ROOT=str(tmp_path),
        )
        runtime.shutdown()
        thread.join()
    assert server.seen == [(DOMAIN, PATH, "hello")]
