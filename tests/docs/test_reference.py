"""The reference is whole: it names what there is, with the values that are in force."""

import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import trunkline
from trunkline import Allow, DeclarationError, config, errors, limits, testing, websocket
from trunkline.model.expressions import compile_selector
from trunkline.stores.base import OPERATORS, Filter, matches

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
# Whose methods the reference describes, besides what `trunkline` itself exports.
PLACES = ("trunkline", "trunkline.resources.collection", "trunkline.resources.context", "trunkline.testing")


def text_of(name: str) -> str:
    return (REFERENCE / name).read_text()


def rows(name: str, header: str) -> list[list[str]]:
    """The cells of the table whose first line begins so; code without its ticks."""
    text = text_of(name)
    table = text[text.index(f"| {header}") :].split("\n\n")[0]
    cells = [re.split(r" ?\| ?", line.strip("|").strip()) for line in table.splitlines()[2:]]
    return [[cell.strip().strip("`") for cell in row] for row in cells]


# The Python API.


def test_every_public_name_is_described():
    text = text_of("python-api.md")
    assert [name for name in trunkline.__all__ if not re.search(rf"\b{name}\b", text)] == []
    assert [name for name in testing.__all__ if not re.search(rf"\btesting\.{name}\b|`{name}`", text)] == []


def resolve(name: str):
    for place in PLACES:
        found = importlib.import_module(place)
        try:
            for part in name.removeprefix("testing.").split("."):
                found = getattr(found, part)
        except AttributeError:
            continue
        return found
    raise AssertionError(f"there is no {name}")


def written(function) -> str:
    """A signature without its annotations, as the reference writes it."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    ]
    return str(inspect.Signature(parameters)).replace("'", '"')


@pytest.mark.parametrize("heading", re.findall(r"^### `(.+)`$", text_of("python-api.md"), re.M))
def test_every_signature_is_the_real_one(heading):
    name, parenthesis, rest = heading.partition("(")
    assert written(resolve(name)) == parenthesis + rest


# Settings, limits, errors.


def test_every_setting_is_described_with_its_default():
    described = {row[0]: row[1] for row in rows("settings.md", "setting |")}
    assert list(described) == [field.name for field in fields(config.Settings)]
    for field in fields(config.Settings):
        default = field.default_factory() if field.default is MISSING else field.default
        assert str(default or "none") in described[field.name] or field.name == "admin"


def test_every_setting_has_its_variable_and_flag():
    for name, _, variable, flag, *_ in rows("settings.md", "setting |"):
        assert (variable, flag) == (f"TRUNKLINE_{name.upper()}", f"--{name.replace('_', '-')}")


def test_every_limit_is_described_with_its_default():
    described = {row[0]: float(row[1]) for row in rows("limits.md", "limit | default")}
    assert described == {field.name: field.default for field in fields(trunkline.Limits)}


def test_every_fixed_limit_has_its_value():
    described = {row[0]: float(row[1]) for row in rows("limits.md", "name | value")}
    assert described == {name: getattr(limits, name) for name in described}


def test_every_error_is_described():
    described = [row[0] for row in rows("errors.md", "error | when")]
    assert described == [name for name in tree() if name != "TrunklineError"]
    assert sorted(tree()) == errors.__all__


def tree() -> list[str]:
    return re.findall(r"^[│├└─ ]*(\w+)$", text_of("errors.md").split("```")[1].removeprefix("text"), re.M)


def test_the_tree_of_errors_is_the_one_of_the_code():
    above: type[Exception] = errors.TrunklineError
    for margin, name in re.findall(r"^([│ ]*)[├└]── (\w+)$", text_of("errors.md"), re.M):
        error = getattr(errors, name)
        assert error.__base__ is (above if margin else errors.TrunklineError)
        above = above if margin else error


def test_the_statuses_are_those_that_the_errors_name():
    described = {row[0]: row[3] for row in rows("errors.md", "error | when")}
    for name in errors.__all__:
        if told := re.search(r"HTTP (\d+)", getattr(errors, name).__doc__):
            assert described[name] == told[1]


# The command line.


def options(command: str) -> set[str]:
    program = Path(sys.executable).with_name("trunkline")
    done = subprocess.run([program, *command.split(), "--help"], capture_output=True, text=True, check=True, timeout=60)
    return set(re.findall(r"(?<![\w-])--[a-z-]+", done.stdout))


def test_every_option_of_run_is_described():
    described = {row[0] for row in rows("command-line.md", "option |")}
    assert described == options("run")


def test_every_option_of_the_program_itself_is_described():
    assert all(option in text_of("command-line.md") for option in options(""))


# Documents, routes, events, closing.


def test_every_operator_is_described():
    assert all(f"`{operator}`" in text_of("documents.md") for operator in OPERATORS)


@pytest.mark.parametrize(("document", "where", "fulfilled"), rows("documents.md", "document | where"))
def test_the_examples_of_operators_are_so(document, where, fulfilled):
    condition = Filter(*json.loads(f"[{where}]"))
    assert matches(json.loads(document), [condition]) is (fulfilled == "yes")


@pytest.mark.parametrize("row", rows("route-selection.md", "select | message"))
def test_the_examples_of_route_selection_are_so(row):
    select, message, *key = row
    assert compile_selector(select)(message) == "".join(key)


@pytest.mark.parametrize("select", ["$request.query.a", "$", "a$b"])
def test_a_dollar_that_begins_nothing_is_refused(select):
    with pytest.raises(DeclarationError):
        compile_selector(select)


def shape(value):
    """Its keys in their order, all the way down."""
    return {name: shape(member) for name, member in value.items()} if isinstance(value, dict) else type(value)


def keys_in_order(value) -> list:
    return [(name, keys_in_order(member)) for name, member in value.items()] if isinstance(value, dict) else []


async def test_events_have_the_shape_that_is_shown(pages):
    shown = {
        block.title: json.loads(block.text) for block in pages(REFERENCE / "events.md") if block.language == "json"
    }
    socket, built = websocket("socket"), {}

    for name in ("connect", "message", "disconnect"):

        @socket.on(name)
        async def note(ctx):
            built[ctx.req.event["requestContext"]["eventType"]] = ctx.req.event

    async with testing.node([socket]) as node:
        client = await node.connect("socket", query={"room": "tea"}, headers={"user-agent": "demo/1"})
        await client.send("hello")
        await client.close()
    assert list(built) == ["CONNECT", "MESSAGE", "DISCONNECT"]
    assert list(shown) == [*built, "authorizer", "REQUEST"]
    for name, event in built.items():
        assert keys_in_order(event) == keys_in_order(shown[name])
        assert shape(event) == shape(shown[name])


async def test_an_authorizers_event_and_what_it_said_have_the_shape_that_is_shown(pages):
    shown = {
        block.title: json.loads(block.text) for block in pages(REFERENCE / "events.md") if block.language == "json"
    }
    socket, built = websocket("socket"), {}

    @socket.authorizer()
    async def authorize(ctx):
        built["REQUEST"] = ctx.req.event
        return Allow("ann", {"tenant": "acme", "level": 7})

    @socket.on("connect")
    async def connect(ctx):
        built["authorizer"] = ctx.req.event["requestContext"]["authorizer"]

    async with testing.node([socket]) as node:
        await node.connect("socket", query={"room": "tea"}, headers={"user-agent": "demo/1"})
    for name, event in built.items():
        assert keys_in_order(event) == keys_in_order(shown[name])
        assert shape(event) == shape(shown[name])


def test_every_close_code_and_reason_is_described():
    text = text_of("close-codes.md")
    for name, value in vars(limits).items():
        if name.startswith(("CLOSE_", "REASON_")) and name not in {"CLOSE_SECONDS", "CLOSE_POLICY"}:
            assert f"{value}" in text, name
    source = (ROOT / "src/trunkline/wire/messages.py").read_text()
    for reason in re.findall(r'"([A-Z][a-z -]+ [a-z ]+)"', source):
        assert f"`{reason}`" in text or reason == "Frame is masked", reason


# What it is made of.


def dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    return [
        re.match(r"[\w-]+", entry)[0]
        for entry in (*project["project"]["dependencies"], *groups["dev"], *groups["bench"])
    ]


@pytest.mark.parametrize("name", dependencies())
def test_every_dependency_has_its_reason(name):
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    assert re.search(rf"^\| `{name}` \| .{{10,}} \|$", text, re.M)
