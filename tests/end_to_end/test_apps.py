"""Applications of API Gateway, as people write them, run as they stand; see `apps/README.md`."""

import asyncio
import contextlib
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

APPS = Path(__file__).parent / "apps"
NODE_MODULES = Path(__file__).parents[2] / ".venv" / "node" / "node_modules"
SECONDS = 20  # a wait that is over this has failed
NOT_THE_APPLICATIONS = shutil.ignore_patterns("script.py", "README.md", "__pycache__")


class Client:
    """One client of an application."""

    def __init__(self, socket):
        self._socket = socket

    @property
    def subprotocol(self):
        return self._socket.subprotocol

    async def says(self, frame):
        await self._socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def next(self):
        """The next frame: its JSON, or its text if it is none."""
        frame = await asyncio.wait_for(self._socket.recv(decode=True), SECONDS)
        with contextlib.suppress(ValueError):
            return json.loads(frame)
        return frame

    async def hears(self, *frames):
        """These are the next frames; functions run side by side, so their order is open."""
        heard = [await self.next() for _ in frames]
        assert sorted(map(spelled, heard)) == sorted(map(spelled, frames))

    async def hears_error(self, message):
        """The next frame is API Gateway's own, to the letter."""
        frame = await asyncio.wait_for(self._socket.recv(), SECONDS)
        ids = r'"connectionId":"[\w-]{18}==", "requestId":"[\w-]{15}="'
        assert re.fullmatch(rf'\{{"message": "{message}", {ids}\}}', frame), frame

    async def hears_no_more(self):
        """Nothing came that the script has not asked for."""
        await self._socket.close()
        with pytest.raises(ConnectionClosed):
            pytest.fail(f"there was more to hear: {await self._socket.recv()}")

    async def closed(self):
        """Wait for the other side to close; code and reason."""
        await asyncio.wait_for(self._socket.wait_closed(), SECONDS)
        return self._socket.close_code, self._socket.close_reason

    async def close(self, code=1000, reason=""):
        await self._socket.close(code, reason)


class Connect:
    """The door of an application."""

    def __init__(self, port):
        self._port = port

    @contextlib.asynccontextmanager
    async def __call__(self, stage, query="", **how):
        async with websockets.connect(self._url(stage, query), open_timeout=SECONDS, **how) as socket:
            client = Client(socket)
            yield client
            await client.hears_no_more()

    async def refused(self, stage, query="", **how):
        with pytest.raises(InvalidStatus) as caught:
            await websockets.connect(self._url(stage, query), open_timeout=SECONDS, **how)
        response = caught.value.response
        return response.status_code, response.headers, response.body.decode()

    def _url(self, stage, query):
        return f"ws://127.0.0.1:{self._port}/{stage}" + (f"?{query}" if query else "")


def spelled(frame):
    return json.dumps(frame, sort_keys=True)


def script_of(app):
    spec = importlib.util.spec_from_file_location(f"script_of_{app}", APPS / app / "script.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copied(app, script, folder):
    shutil.copytree(APPS / app, folder, ignore=NOT_THE_APPLICATIONS)
    for name, content in getattr(script, "ZIPPED", {}).items():
        shutil.make_archive(str(folder / name).removesuffix(".zip"), "zip", folder / content)
        shutil.rmtree(folder / content)
    return folder / getattr(script, "TEMPLATE", "template.yaml")


@pytest.mark.parametrize("app", sorted(file.parent.name for file in APPS.glob("*/script.py")))
def test_an_application_runs_as_it_stands_and_its_clients_hear_what_they_would_hear_from_aws(
    app, tmp_path, run_trunkline
):
    script = script_of(app)
    template = copied(app, script, tmp_path / app)
    with getattr(script, "serving", contextlib.nullcontext)() as more:
        arguments = [*getattr(script, "ARGUMENTS", ()), *(more or ())]
        running = run_trunkline(template, *arguments, "--node-modules", NODE_MODULES, clean=False)
        asyncio.run(script.script(Connect(running.port)))
        code, out, err = running.stop()
    assert code == 0
    for text, times in getattr(script, "LOGGED", {}).items():
        assert sum(text in line for line in out.splitlines()) == times, out
    errors = err.splitlines()
    failures = getattr(script, "FAILURES", ())
    assert len(errors) == len(failures), err
    for text, line in zip(failures, errors, strict=True):
        assert re.search(text, line), err
