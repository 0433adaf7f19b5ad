"""An authority of this machine's own: kept, private, and trusted beside those of the world."""

import asyncio
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import websockets

import trunkline
from trunkline import websocket
from trunkline.config import Settings
from trunkline.errors import ConfigurationError
from trunkline.functions.certificates import local_certificates
from trunkline.functions.npm import find_node

PACKAGES = Path(__file__).parents[2] / ".venv" / "node" / "node_modules"
NAMES = ["localhost", "127.0.0.1", "*.execute-api.eu-west-1.amazonaws.com"]


def greeting(server_context, client_context, name):
    """What a client of a name hears of a server over TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with server.accept()[0] as plain, server_context.wrap_socket(plain, server_side=True) as secure:
                secure.sendall(b"hello")

        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(server.getsockname()) as plain:
            with client_context.wrap_socket(plain, server_hostname=name) as secure:
                heard = secure.recv(5)
        thread.join()
        return heard


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"])
@pytest.mark.parametrize("trusted", ["ca", "bundle"])
def test_a_client_that_trusts_in_the_authority_believes_each_name(tmp_path, name, trusted):
    made = local_certificates(tmp_path, NAMES)
    client = ssl.create_default_context(cafile=getattr(made, trusted))
    assert greeting(made.context, client, name) == b"hello"


def test_the_authority_is_kept_from_run_to_run(tmp_path):
    first = local_certificates(tmp_path / "kept", NAMES)
    client = ssl.create_default_context(cafile=first.ca)
    assert greeting(local_certificates(tmp_path / "kept", NAMES).context, client, "localhost") == b"hello"


def test_its_files_are_its_owners_alone(tmp_path):
    local_certificates(tmp_path / "kept", NAMES)
    kept = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "kept").iterdir()}
    assert kept == {"ca-key.pem": 0o600, "ca.pem": 0o600, "ca-bundle.pem": 0o600}


def test_the_bundle_has_the_authorities_of_the_world_too(tmp_path):
    bundle = ssl.create_default_context(cafile=local_certificates(tmp_path, NAMES).bundle)
    names = {dict(part[0] for part in one["subject"]).get("organizationName") for one in bundle.get_ca_certs()}
    assert {"Amazon", "Trunkline"} <= names


def test_a_folder_with_something_else_in_it_is_an_error_that_says_what_to_do(tmp_path):
    for name in ("ca.pem", "ca-key.pem"):
        (tmp_path / name).write_text("no certificate")
    with pytest.raises(ConfigurationError, match="holds no certificate authority: .*; remove it, and one is made"):
        local_certificates(tmp_path, NAMES)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot keep a certificate authority"):
        local_certificates(tmp_path / "file" / "folder", NAMES)


def test_without_trustme_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'trunkline\[aws\]'"):
        local_certificates(tmp_path, NAMES)


CLIENTS = {
    "boto3": [sys.executable, "-c", "import sys, boto3; boto3.client('apigatewaymanagementapi', endpoint_url=sys.argv[1]).post_to_connection(ConnectionId=sys.argv[2], Data=b'hello')"],
    "the third SDK": [str(find_node()), "-e", "const { ApiGatewayManagementApiClient: Client, PostToConnectionCommand } = require('@aws-sdk/client-apigatewaymanagementapi'); const [, endpoint, ConnectionId] = process.argv; new Client({ endpoint }).send(new PostToConnectionCommand({ ConnectionId, Data: 'hello' }));"],
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_post_over_https_to_a_gateway_with_the_variables_alone(tmp_path, client):
    made = local_certificates(tmp_path, NAMES)
    socket = websocket("socket")

    @socket.on("message")
    async def message(ctx):
        return ctx.req.connection_id

    async def main():
        async with trunkline.open([socket]) as node:
            node.gateway.tls = made.context
            await node.listen(Settings(port=0))
            host, port = node.address
            trusting = {"AWS_CA_BUNDLE": str(made.bundle), "NODE_EXTRA_CA_CERTS": str(made.ca), "NODE_NO_WARNINGS": "1"}
            keys = {
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            environment = (
                {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NODE_PATH": str(PACKAGES)} | trusting | keys
            )
            async with websockets.connect(f"ws://{host}:{port}/socket") as receiver:
                await receiver.send("id")
                command = [*CLIENTS[client], f"https://{host}:{port}/socket", await receiver.recv()]
                done = await asyncio.to_thread(
                    subprocess.run, command, env=environment, capture_output=True, text=True, timeout=30
                )
                assert (done.returncode, done.stderr) == (0, "")
                assert await asyncio.wait_for(receiver.recv(), 5) == "hello"

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())
