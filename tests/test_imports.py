"""Who may import whom, and what `import trunkline` costs."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import trunkline

SRC = Path(trunkline.__file__).parent
FOUNDATION = {"errors", "limits", "clock", "config", "log", "model", "tracebacks", "wire"}
BASES = {"connections.base", "integrations.base", "stores.base"}
EVERYTHING = {path.stem for path in SRC.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {
    "__init__"
}

# By room, or by one file of it: what it may import besides the foundation and itself. Everything below a name is meant.
MAY_IMPORT = {
    **dict.fromkeys(FOUNDATION, set()),
    "gateway": BASES,
    "integrations": {"resources.context"},
    "functions": set(),
    "templates": set(),
    "connections": set(),
    "stores": set(),
    "resources": BASES,
    "aws": {"resources", "connections.management_api", "integrations.python", "stores"},
    "runtime": EVERYTHING - {"cli", "testing"},
    "backends": EVERYTHING - {"cli", "testing"},
    "compiling": EVERYTHING - {"cli", "testing"},
    "served": EVERYTHING - {"cli", "testing"},
    "cli": EVERYTHING - {"testing"},
    "__main__": {"cli"},
    "testing": EVERYTHING - {"cli"},
    "__init__": {"resources"},
    "console": set(),
}
# Rooms whose files share nothing but their base: a seam's implementations do not know each other.
SEAMS = {"connections", "integrations", "stores"}
NO_IO = {"asyncio", "socket", "selectors", "ssl", "threading", "subprocess", "sqlite3", "httptools", "uvloop", "select"}


def modules():
    """Every module of the package by its name below it: `stores.base`, and `stores` for `stores/__init__.py`."""
    for file in sorted(SRC.rglob("*.py")):
        parts = file.relative_to(SRC).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), file


MODULES = dict(modules())


def imports(text, name="x", *, package=False):
    """Every module that a text imports, wherever it does: (name, line, at the top of the file)."""
    tree = ast.parse(text)
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = ["trunkline", *name.split(".")]
                above = above[: len(above) - node.level + package]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                below = f"{base}.{alias.name}".removeprefix("trunkline.")
                yield (
                    (f"trunkline.{below}" if base.startswith("trunkline") and below in MODULES else base),
                    node.lineno,
                    id(node) in top,
                )


def within(name, places):
    return any(name == place or name.startswith(f"{place}.") for place in places)


def part_of(name):
    """The implementation that a file of a seam belongs to: `stores.dynamodb` for `stores.dynamodb_items`."""
    return name.split("_")[0]


def allowed(importer, imported):
    """Whether a module of ours may import another; both by their names below the package."""
    room = importer.split(".")[0]
    if room in SEAMS and within(imported, {room}):
        # The room's own `__init__` opens implementations by name.
        return importer == room or imported in {room, f"{room}.base"} or part_of(imported) == part_of(importer)
    return within(imported, FOUNDATION | MAY_IMPORT[room] | ({room} - {"__init__"}))


def broken(importer, text):
    for name, line, top in imports(text, importer, package=MODULES.get(importer, Path("x")).name == "__init__.py"):
        if name != "trunkline" and not name.startswith("trunkline."):
            continue
        imported = name.removeprefix("trunkline").removeprefix(".") or "__init__"
        if importer == "__init__" and imported == "runtime" and not top:
            continue  # lazily: only a process that runs a node needs what a node is made of
        if not allowed(importer, imported):
            yield f"{importer}:{line} imports {imported}"


@pytest.mark.parametrize("importer", MODULES)
def test_everybody_imports_only_whom_they_may(importer):
    assert list(broken(importer, MODULES[importer].read_text())) == []


def test_every_room_has_a_rule():
    assert EVERYTHING <= MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("model.api", "from trunkline.resources import context"),
        ("wire.frames", "def f():\n    import trunkline.gateway.server"),
        ("errors", "if TYPE_CHECKING:\n    from trunkline.stores.base import Store"),
        ("gateway.server", "from trunkline.connections.local import LocalConnections"),
        ("gateway.server", "from trunkline.resources.context import Context"),
        ("gateway.server", "from trunkline import runtime"),
        ("gateway.server", "from trunkline import Context"),
        ("gateway.server", "from .. import runtime"),
        ("integrations.python", "from trunkline.resources.websocket import Websocket"),
        ("stores.sqlite", "from trunkline.stores.memory import MemoryStore"),
        ("stores.sqlite", "from .memory import MemoryStore"),
        ("stores.sqlite", "from trunkline.stores.dynamodb_items import item_of"),
        ("connections.local", "from trunkline.gateway import connection"),
        ("resources.websocket", "from trunkline.stores import open_store"),
        ("resources.websocket", "from trunkline.gateway.connection import Connection"),
        ("cli.run", "from trunkline.testing import node"),
        ("testing.node", "import trunkline.cli.main"),
        ("runtime", "from trunkline.cli import main"),
        ("__init__", "from trunkline import runtime"),
        ("__init__", "def f():\n    from trunkline.gateway import server"),
    ],
)
def test_the_rule_sees_what_breaks_it(importer, text):
    assert len(list(broken(importer, text))) == 1


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("gateway.server", "from trunkline.connections.base import Registry\nfrom trunkline import limits"),
        ("integrations.python", "from trunkline.resources.context import Context"),
        ("stores.sqlite", "from .base import Store"),
        ("stores.dynamodb", "from trunkline.stores.dynamodb_items import item_of"),
        ("stores", "def f():\n    from trunkline.stores.memory import MemoryStore"),
        ("__init__", "def f():\n    from trunkline import runtime"),
        ("cli.run", "from trunkline import runtime\nimport os"),
    ],
)
def test_the_rule_lets_pass_what_is_allowed(importer, text):
    assert list(broken(importer, text)) == []


@pytest.mark.parametrize(
    "importer", [name for name in MODULES if name.split(".")[0] in {"model", "wire", "errors", "limits"}]
)
def test_model_and_wire_do_no_io(importer):
    names = {name.split(".")[0] for name, _, _ in imports(MODULES[importer].read_text())}
    assert not names & NO_IO


# What `import trunkline` costs.

MEASURE = """
import json, sys, time
began = time.perf_counter()
import trunkline
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""
NOT_LOADED = [
    "boto3", "botocore", "uvloop", "httptools", "typer", "rich", "click", "sqlite3", "websockets", "pytest", "http.server",
    "socketserver", "urllib.request", "email", "trunkline.gateway", "trunkline.runtime", "trunkline.cli", "trunkline.testing",
    "trunkline.stores.memory", "trunkline.stores.sqlite", "trunkline.stores.dynamodb", "trunkline.connections.local", "trunkline.wire",
]  # fmt: skip


def fresh(code):
    """Run code in a fresh interpreter that knows nothing of this one."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_importing_loads_neither_a_server_nor_what_only_some_need():
    loaded = set(json.loads(fresh(MEASURE))["modules"])
    assert "trunkline.resources.websocket" in loaded
    assert [name for name in NOT_LOADED if name in loaded] == []


def test_importing_takes_less_than_100_milliseconds():
    best = min(json.loads(fresh(MEASURE))["seconds"] for _ in range(5))
    assert best < 0.1


def test_importing_opens_no_socket_and_no_file_of_the_users(tmp_path):
    code = f"""
import os, sys
os.chdir({str(tmp_path)!r})
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("socket.", "subprocess.")) else None)
import trunkline
print(seen)
"""
    assert fresh(code) == "[]\n"
    assert list(tmp_path.iterdir()) == []


# The public face.


def test_public_names_are_sorted_and_there():
    assert trunkline.__all__ == sorted(set(trunkline.__all__))
    for name in trunkline.__all__:
        assert getattr(trunkline, name) is not None
    names = {}
    exec("from trunkline import *", names)
    assert set(trunkline.__all__) <= set(names)


def test_nothing_else_is_public():
    public = {
        name
        for name, value in vars(trunkline).items()
        if name.isidentifier() and name[0] != "_" and name not in trunkline.__all__
    }
    assert {name for name in public if name not in EVERYTHING} <= {"annotations", "TYPE_CHECKING"}


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'trunkline' has no attribute 'sockets'"):
        trunkline.sockets  # noqa: B018
