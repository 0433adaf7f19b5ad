"""The runtime client for Node where AWS's own is not installed: handlers of both kinds of modules find their packages."""

import asyncio
import json

import pytest
import uvloop

from trunkline.functions.environment import Surroundings
from trunkline.functions.pool import LocalFunction
from trunkline.model.functions import FunctionDefinition

COMMON = "const { word } = require('greeting'); exports.handler = async () => word;"
MODULE = "import { word } from 'greeting'; export const handler = async () => word;"
CALLBACK = "exports.handler = (event, context, callback) => setTimeout(() => callback(null, 'called back'), 1);"
PLAIN = "exports.handler = () => 'returned';"


@pytest.fixture
def answer(tmp_path):
    """What a handler in these files answers, where the package `greeting` is at hand."""
    package = tmp_path / "packages" / "node_modules" / "greeting"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "greeting", "main": "index.js"}')
    (package / "index.js").write_text("exports.word = 'hello';")

    def ask(files, handler="app.handler"):
        code = tmp_path / "code"
        for name, text in files.items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_text(text)

        async def whole():
            definition = FunctionDefinition("talk", "Talk", "nodejs20.x", handler, code=code, seconds=5)
            around = Surroundings("us-east-1", "0" * 12, tmp_path / "scratch", print, node_modules=package.parent)
            function = LocalFunction(definition, around)
            try:
                async with asyncio.timeout(20):
                    invocation = await function.invoke(b"{}")
            finally:
                await function.close()
            return json.loads(invocation.payload)

        return uvloop.run(whole())

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


@pytest.mark.parametrize(("text", "said"), [(CALLBACK, "called back"), (PLAIN, "returned")])
def test_a_handler_may_call_back_or_return(answer, text, said):
    assert answer({"app.js": text}) == said


def test_a_package_that_is_nowhere_is_told(answer):
    told = answer({"app.mjs": "import 'nowhere'; export const handler = () => 1;"})
    assert "Cannot find package 'nowhere'" in told["errorMessage"]
