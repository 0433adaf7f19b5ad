"""The part of Trunkline that a function carries."""

import ast
import json
import subprocess
import sys

from trunkline.aws.carried import carried, statements_of

# What lambda has, and msgspec, which the zip has.
ELSEWHERE = {"msgspec", "boto3", "botocore"}


def names():
    return {entry.name for entry in carried()}


def test_it_has_the_lambda_side_and_what_a_program_imports():
    assert {
        "trunkline/__init__.py", "trunkline/aws/__init__.py", "trunkline/aws/lambda_handler.py", "trunkline/errors.py",
        "trunkline/connections/management_api.py", "trunkline/resources/websocket.py", "trunkline/stores/dynamodb.py",
    } <= names()  # fmt: skip


def test_it_has_nothing_that_only_a_server_or_the_command_line_runs():
    rooms = {name.split("/")[1] for name in names()}
    assert not rooms & {"cli", "functions", "gateway", "runtime.py", "served.py", "templates", "testing"}
    assert not names() & {"trunkline/stores/sqlite.py", "trunkline/aws/package.py", "trunkline/aws/template.py"}


def test_it_needs_no_package_but_msgspec_and_the_sdk_of_lambda():
    needed = set()
    for entry in carried():
        for node, _ in statements_of(ast.parse(entry.path.read_bytes())):
            if isinstance(node, ast.Import):
                needed |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                needed.add(node.module.split(".")[0])
    assert needed - sys.stdlib_module_names - {"trunkline"} <= ELSEWHERE


def test_each_of_its_modules_can_be_imported(tmp_path):
    (tmp_path / "chat.py").write_text('from trunkline import websocket\nsocket = websocket("socket")\n')
    code = "import importlib, json, sys; [importlib.import_module(name) for name in json.load(sys.stdin)]"
    modules = [entry.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for entry in carried()]
    environment = {"LAMBDA_TASK_ROOT": str(tmp_path), "TRUNKLINE_PROGRAM": "chat.py"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(modules), text=True, capture_output=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")


def statements(text):
    found = statements_of(ast.parse(text))
    return [(ast.unparse(node), later) for node, later in found if isinstance(node, ast.Import)]


def test_what_only_type_checkers_read_is_not_run():
    assert statements("if TYPE_CHECKING:\n    import a\nelse:\n    import b") == [("import b", False)]
    assert statements("import typing\nif typing.TYPE_CHECKING:\n    import a") == [("import typing", False)]


def test_what_stands_in_a_function_is_run_later():
    text = "class A:\n    import a\n    def f(self):\n        try:\n            import b\n        finally: ...\nasync def g():\n    import c"
    assert statements(text) == [("import a", False), ("import b", True), ("import c", True)]
