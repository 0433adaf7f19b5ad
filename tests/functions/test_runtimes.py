"""Which interpreter runs a function, and what is said where there is none."""

import json
import sys

import pytest

from trunkline.functions import npm, runtimes
from trunkline.functions.runtimes import runtime_of
from trunkline.model.functions import FunctionDefinition, InvocationRefused

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


def function(runtime):
    return FunctionDefinition("talk", "Talk", runtime, "app.handler", where="template.yaml:3")


def test_python_is_the_one_at_hand_under_awss_client():
    runtime = runtime_of(function(f"python{OURS}"), None)
    assert runtime.command == (sys.executable, "-m", "awslambdaric", "app.handler")
    assert runtime.note == ""


def test_another_version_is_noted():
    assert runtime_of(function("python3.9"), None).note == f"python3.9 is run by Python {OURS}, which is at hand"


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Puts versions of Node at hand: the first on the PATH, the second in the Python package."""

    def at_hand(*versions):
        paths = []
        for number, version in enumerate(versions):
            path = tmp_path / f"node{number}"
            path.write_text(f"#!/bin/sh\necho v{version}\n")
            path.chmod(0o755)
            paths.append(path)
        monkeypatch.setattr(runtimes, "find_node", lambda: next(iter(paths), None))
        monkeypatch.setattr(runtimes, "_of_wheel", lambda *parts: paths[1] if len(paths) > 1 else None)
        return paths

    return at_hand


def official(folder, version, entry, engines=None):
    package = folder / "aws-lambda-ric"
    (package / entry).parent.mkdir(parents=True)
    (package / entry).touch()
    (package / "package.json").write_text(json.dumps({"version": version, "engines": engines or {}}))
    return package / entry


def test_node_runs_awss_client_if_it_is_there_and_ours_if_not(tmp_path, nodes):
    (node,) = nodes("20.1.0")
    ours = runtime_of(function("nodejs20.x"), tmp_path)
    assert ours.command[0] == str(node)
    assert ours.command[-2].endswith("client.mjs")
    assert ours.note.endswith("under a runtime client of ours: aws-lambda-ric is not there")
    entry = official(tmp_path, "3.3.0", "bin/index.mjs")
    theirs = runtime_of(function("nodejs20.x"), tmp_path)
    assert theirs.command[-2:] == (str(entry), "app.handler")
    assert theirs.note == ""


@pytest.mark.parametrize("client", [True, False])
def test_imports_find_packages_under_either_client_in_node(tmp_path, client):
    if client:
        official(tmp_path, "3.3.0", "bin/index.mjs")
    command = runtime_of(function("nodejs20.x"), tmp_path).command
    (hooks,) = [after for option, after in zip(command, command[1:], strict=False) if option == "--import"]
    assert hooks.startswith("file://")
    assert hooks.endswith("resolve.mjs")


def test_node_has_the_options_that_lambda_gives_it(nodes):
    nodes("20.1.0")
    command = runtime_of(function("nodejs20.x"), None).command
    assert command[1:5] == (
        "--expose-gc", "--max-http-header-size=81920", "--max-semi-space-size=6", "--max-old-space-size=115",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "at_hand", "chosen"),
    [
        (20, ("24.1.0", "20.2.0"), 1),
        (22, ("20.2.0", "24.1.0"), 1),
        (18, ("24.1.0", "20.2.0"), 1),
        (24, ("18.1.0", "20.2.0"), 1),
        (20, ("20.1.0", "20.2.0"), 0),
        (22, ("16.1.0", "20.2.0"), 1),
    ],
)
def test_of_the_versions_at_hand_the_nearest_runs_a_function(nodes, wanted, at_hand, chosen):
    paths = nodes(*at_hand)
    runtime = runtime_of(function(f"nodejs{wanted}.x"), None)
    assert runtime.command[0] == str(paths[chosen])
    nearest = "" if at_hand[chosen].startswith(str(wanted)) else ", the nearest at hand"
    assert runtime.note.startswith(f"nodejs{wanted}.x is run by Node {at_hand[chosen]}{nearest}, under a")


def test_awss_newer_client_has_the_version_of_node_that_it_needs(tmp_path, nodes):
    entry = official(tmp_path, "4.0.2", "index.mjs", {"node": ">=22"})
    paths = nodes("20.1.0", "24.1.0")
    runtime = runtime_of(function("nodejs24.x"), tmp_path)
    assert (runtime.command[0], runtime.command[-2], runtime.note) == (str(paths[1]), str(entry), "")
    nodes("20.1.0")
    ours = runtime_of(function("nodejs24.x"), tmp_path)
    assert ours.command[-2].endswith("client.mjs")
    assert "aws-lambda-ric 4.0.2 needs Node 22 or newer" in ours.note


def test_awss_newer_client_runs_no_function_that_may_call_back(tmp_path, nodes):
    official(tmp_path, "4.0.2", "index.mjs", {"node": ">=22"})
    nodes("22.1.0")
    runtime = runtime_of(function("nodejs22.x"), tmp_path)
    assert runtime.command[-2].endswith("client.mjs")
    assert "aws-lambda-ric 4.0.2 refuses callbacks, which nodejs22.x has" in runtime.note


@pytest.mark.parametrize("name", ["ruby3.3", "java21", "go1.x", "dotnet8", ""])
def test_what_cannot_be_run_here_is_refused_with_what_can(name):
    with pytest.raises(InvocationRefused, match="cannot be run here; expected one such as python3.*`bootstrap`"):
        runtime_of(function(name), None)


def test_a_bootstrap_is_its_own_runtime_the_functions_before_its_layers(tmp_path):
    mine, layers = tmp_path / "mine", tmp_path / "layers"
    for folder in (layers, mine):
        folder.mkdir()
        (folder / "bootstrap").touch(0o755)
        found = runtime_of(function("provided.al2023"), None, [mine, layers])
        assert found.command == (str(folder / "bootstrap"),)
        assert found.note == ""


def test_a_bootstrap_that_is_not_there_or_may_not_be_run_is_told_with_what_to_do(tmp_path):
    with pytest.raises(InvocationRefused, match=r"needs a `bootstrap`.*template\.yaml:3.*build the function first"):
        runtime_of(function("provided.al2"), None, [tmp_path])
    (tmp_path / "bootstrap").touch(0o644)
    with pytest.raises(InvocationRefused, match=r"may not be executed; type: chmod \+x"):
        runtime_of(function("provided"), None, [tmp_path])


def test_a_missing_interpreter_is_told_with_its_remedy(monkeypatch, nodes):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    nodes()
    with pytest.raises(InvocationRefused, match="needs Node 18 or newer: install it"):
        runtime_of(function("nodejs20.x"), None)
    with pytest.raises(InvocationRefused, match=r"pip install 'trunkline\[aws\]'"):
        runtime_of(function("python3.11"), None)


def test_node_may_be_among_the_python_packages(monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    assert runtime_of(function("nodejs20.x"), None).command[0].endswith("bin/node")
