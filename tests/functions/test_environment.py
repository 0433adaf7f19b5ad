"""What a worker finds around it: Lambda's variables, its own, and nothing of ours."""

import re
from pathlib import Path

import pytest

from trunkline.functions.environment import Surroundings, reserved_of, worker_environment
from trunkline.functions.requirements import missing_requirements
from trunkline.model.functions import FunctionDefinition


def around(tmp_path, runtime="python3.11", environment=None, layers=None, own=None, log=None, code=None, **given):
    definition = FunctionDefinition(
        "talk", "Talk", runtime, "app.handler", environment=own or {}, memory_mb=256, code=code, **log or {}
    )
    surroundings = Surroundings("eu-west-1", "111122223333", tmp_path, print, environment or {}, **given)
    return worker_environment(definition, surroundings, task_root=Path("/code"), layers=layers, own=tmp_path)


def test_the_variables_are_those_of_lambda(tmp_path):
    found = around(tmp_path)
    assert found["_HANDLER"] == "app.handler"
    assert (found["LAMBDA_TASK_ROOT"], found["AWS_REGION"], found["TZ"]) == ("/code", "eu-west-1", ":UTC")
    assert (found["AWS_LAMBDA_FUNCTION_NAME"], found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("talk", "256")
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in found


def test_how_it_logs_is_said_by_variables(tmp_path):
    text, json = around(tmp_path), around(tmp_path, log={"log_level": "WARN", "log_group": "/team/talk"})
    assert "AWS_LAMBDA_LOG_FORMAT" not in text
    assert text["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/talk"
    assert (json["AWS_LAMBDA_LOG_FORMAT"], json["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "WARN")
    assert json["AWS_LAMBDA_LOG_GROUP_NAME"] == "/team/talk"


def test_nothing_of_ours_is_in_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("AWS_PROFILE", "real")
    found = around(tmp_path)
    assert "MY_SECRET" not in found
    assert "AWS_PROFILE" not in found
    assert "real" not in found.values()
    assert (found["HOME"], found["TMPDIR"]) == (str(tmp_path), str(tmp_path))


def test_its_own_variables_win_over_lambdas_and_paths_are_joined(tmp_path):
    found = around(
        tmp_path,
        own={"TZ": "Europe/Vienna", "NODE_OPTIONS": "--no-warnings", "PYTHONPATH": "/mine"},
        environment={"NODE_OPTIONS": "--require x.cjs", "PYTHONPATH": "/shim", "AWS_ENDPOINT_URL_LAMBDA": "http://x"},
    )
    assert found["TZ"] == "Europe/Vienna"
    assert found["NODE_OPTIONS"] == "--no-warnings --require x.cjs"
    assert found["PYTHONPATH"] == "/shim:/mine"
    assert found["AWS_ENDPOINT_URL_LAMBDA"] == "http://x"


def test_what_layers_have_is_where_lambda_looks_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    found = around(tmp_path, layers=tmp_path)
    assert found["PATH"] == f"/usr/bin:/bin:{tmp_path}/bin"
    assert found["LD_LIBRARY_PATH"] == f"/code:/code/lib:{tmp_path}/lib"
    assert found["PYTHONPATH"] == f"{tmp_path}/python/lib/python3.11/site-packages:{tmp_path}/python"


def test_packages_of_layers_for_another_python_come_last(tmp_path):
    (tmp_path / "python" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    found = around(tmp_path, "python3.9", layers=tmp_path)
    lib = f"{tmp_path}/python/lib"
    assert found["PYTHONPATH"] == f"{lib}/python3.9/site-packages:{tmp_path}/python:{lib}/python3.11/site-packages"


@pytest.mark.parametrize("own", [{}, {"PYTHONPATH": "/mine"}])
def test_installed_requirements_come_behind_all_that_a_function_has_of_its_own(tmp_path, monkeypatch, own):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "requirements.txt").write_text("left-over")
    function = FunctionDefinition("talk", "Talk", "python3.11", "app.handler", code=tmp_path)
    (needed,) = missing_requirements([function])
    before = around(tmp_path, code=tmp_path, layers=tmp_path, own=own, environment={"PYTHONPATH": "/shim"})
    needed.folder.mkdir(parents=True)
    found = around(tmp_path, code=tmp_path, layers=tmp_path, own=own, environment={"PYTHONPATH": "/shim"})
    assert found["PYTHONPATH"] == f"{before['PYTHONPATH']}:{needed.folder}"
    assert around(tmp_path, code=tmp_path)["PYTHONPATH"] == str(needed.folder)


@pytest.mark.parametrize("layers", [True, False])
def test_a_worker_knows_where_its_layers_are_which_lambda_has_in_opt(tmp_path, layers):
    found = around(tmp_path, layers=tmp_path if layers else None)
    assert found.get("TRUNKLINE_LAYERS") == (str(tmp_path) if layers else None)


@pytest.mark.parametrize("layers", [True, False])
def test_functions_in_node_find_layers_then_the_packages_at_hand_then_their_own(tmp_path, layers):
    found = around(tmp_path, "nodejs20.x", layers=tmp_path if layers else None, node_modules=Path("/packages"))
    of_layers = f"{tmp_path}/nodejs/node20/node_modules:{tmp_path}/nodejs/node_modules:"
    assert found["NODE_PATH"] == (of_layers if layers else "") + "/packages:/code"
    assert around(tmp_path, "nodejs20.x")["NODE_PATH"] == "/code"


def test_variables_that_public_programs_read_are_as_in_lambda(tmp_path, monkeypatch):
    monkeypatch.setenv("LANG", "de_AT.UTF-8")
    monkeypatch.setenv("LC_ALL", "de_AT.UTF-8")
    found = around(tmp_path, "nodejs20.x")
    assert found["LANG"] == "en_US.UTF-8"
    assert "LC_ALL" not in found
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_nodejs20.x"
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert found["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/talk"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found["AWS_LAMBDA_LOG_STREAM_NAME"])
    assert found["AWS_XRAY_CONTEXT_MISSING"] == "LOG_ERROR"
    assert found["LAMBDA_RUNTIME_DIR"] == "/var/runtime"


def test_two_workers_have_log_streams_of_their_own(tmp_path):
    first, second = around(tmp_path), around(tmp_path)
    assert first["AWS_LAMBDA_LOG_STREAM_NAME"] != second["AWS_LAMBDA_LOG_STREAM_NAME"]


def test_what_brings_its_own_runtime_is_told_of_none(tmp_path):
    assert "AWS_EXECUTION_ENV" not in around(tmp_path, "provided.al2023")


def test_names_of_lambdas_own_are_left_out_of_a_functions_variables(tmp_path):
    own = {"AWS_REGION": "us-east-1", "AWS_LAMBDA_FUNCTION_NAME": "x", "_HANDLER": "x.y", "TABLE": "talk"}
    found = around(tmp_path, own=own)
    assert (found["AWS_REGION"], found["AWS_LAMBDA_FUNCTION_NAME"]) == ("eu-west-1", "talk")
    assert (found["_HANDLER"], found["TABLE"]) == ("app.handler", "talk")
    definition = FunctionDefinition("talk", "Talk", "python3.11", "app.handler", environment=own)
    assert reserved_of(definition) == ["AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "_HANDLER"]
