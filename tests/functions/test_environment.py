"""What a worker finds around it: Lambda's variables, its own, and nothing of ours."""

from pathlib import Path

import pytest

from trunkline.functions.environment import Surroundings, worker_environment
from trunkline.model.functions import FunctionDefinition


def around(tmp_path, runtime="python3.11", environment=None, layers=None, own=None, **given):
    definition = FunctionDefinition("talk", "Talk", runtime, "app.handler", environment=own or {}, memory_mb=256)
    surroundings = Surroundings("eu-west-1", "111122223333", tmp_path, print, environment or {}, **given)
    return worker_environment(definition, surroundings, task_root=Path("/code"), layers=layers, own=tmp_path)


def test_the_variables_are_those_of_lambda(tmp_path):
    found = around(tmp_path)
    assert found["_HANDLER"] == "app.handler"
    assert (found["LAMBDA_TASK_ROOT"], found["AWS_REGION"], found["TZ"]) == ("/code", "eu-west-1", ":UTC")
    assert (found["AWS_LAMBDA_FUNCTION_NAME"], found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == ("talk", "256")
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in found


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


def test_packages_of_layers_are_on_the_path(tmp_path):
    (tmp_path / "python" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    found = around(tmp_path, layers=tmp_path)
    assert found["PYTHONPATH"] == f"{tmp_path}/python:{tmp_path}/python/lib/python3.11/site-packages"


@pytest.mark.parametrize("layers", [True, False])
def test_functions_in_node_find_layers_then_the_packages_at_hand(tmp_path, layers):
    found = around(tmp_path, "nodejs20.x", layers=tmp_path if layers else None, node_modules=Path("/packages"))
    assert found["NODE_PATH"] == (f"{tmp_path}/nodejs/node_modules:" if layers else "") + "/packages"
    assert "NODE_PATH" not in around(tmp_path, "nodejs20.x")
