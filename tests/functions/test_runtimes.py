"""Which interpreter runs a function, and what is said where there is none."""

import sys

import pytest

from trunkline.functions import npm, runtimes
from trunkline.functions.runtimes import runtime_of
from trunkline.model.functions import FunctionDefinition, InvocationRefused

OURS = f"{sys.version_info.major}.{sys.version_info.minor}"


def function(runtime):
    return FunctionDefinition("talk", "Talk", runtime, "app.handler")


def test_python_is_the_one_at_hand_under_awss_client():
    runtime = runtime_of(function(f"python{OURS}"), None)
    assert runtime.command == (sys.executable, "-m", "awslambdaric", "app.handler")
    assert runtime.note == ""


def test_another_version_is_noted():
    assert runtime_of(function("python3.9"), None).note == f"python3.9 is run by Python {OURS}, which is at hand"


def test_node_runs_awss_client_if_it_is_there_and_ours_if_not(tmp_path):
    ours = runtime_of(function("nodejs20.x"), tmp_path)
    assert ours.command[1].endswith("client.mjs")
    assert "aws-lambda-ric is not there" in ours.note
    (tmp_path / "aws-lambda-ric").mkdir()
    (tmp_path / "aws-lambda-ric" / "index.mjs").touch()
    theirs = runtime_of(function("nodejs20.x"), tmp_path)
    assert theirs.command[1:] == (str(tmp_path / "aws-lambda-ric" / "index.mjs"), "app.handler")
    assert theirs.note == ""


@pytest.mark.parametrize("name", ["ruby3.3", "provided.al2023", "java21", ""])
def test_what_cannot_be_run_here_is_refused_with_what_can(name):
    with pytest.raises(InvocationRefused, match="cannot be run here; expected one such as python3"):
        runtime_of(function(name), None)


def test_a_missing_interpreter_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    monkeypatch.setattr(npm, "find_spec", lambda name: None)
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(InvocationRefused, match="needs Node: install it"):
        runtime_of(function("nodejs20.x"), None)
    with pytest.raises(InvocationRefused, match=r"pip install 'trunkline\[aws\]'"):
        runtime_of(function("python3.11"), None)


def test_node_may_be_among_the_python_packages(monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    assert runtime_of(function("nodejs20.x"), None).command[0].endswith("bin/node")
