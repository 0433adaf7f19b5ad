"""What is measured against serverless-offline is the same application in both."""

from importlib import import_module
from pathlib import Path

import yaml

from trunkline.templates import load_template

FOLDER = Path(__file__).parent.parent / "benchmarks" / "programs" / "template"


def ours():
    return load_template(FOLDER / "template.yaml", {}, region="us-east-1", account="123456789012")


def theirs():
    functions = yaml.safe_load((FOLDER / "serverless.yml").read_text())["functions"].values()
    return {
        event["websocket"]["route"]: (function, event["websocket"])
        for function in functions
        for event in function["events"]
    }


def test_the_template_of_the_benchmark_has_no_warnings():
    assert list(ours().warnings) == []


def test_both_have_the_same_routes_two_way_or_not():
    [api] = ours().apis
    assert {route.key: route.two_way for route in api.routes} == {
        key: "routeResponseSelectionExpression" in event for key, (_, event) in theirs().items()
    }


def test_both_run_the_same_handlers():
    deployment = ours()
    [api] = deployment.apis
    functions = {function.name: function for function in deployment.functions}
    assert {route.key: f"functions/{functions[route.integration.function].handler}" for route in api.routes} == {
        key: function["handler"] for key, (function, _) in theirs().items()
    }


def test_a_reference_that_did_nothing_is_beaten_infinitely(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER.parent.parent)
    table, workloads = import_module("table"), import_module("workloads")
    [workload] = [one for one in workloads.WORKLOADS if one.name == "template-node-flood"]
    ours, nothing = [workloads.Measured(3_000.0)], [workloads.Measured(0.0)]
    result = table.Result(workload, workload.rows[0], ours, nothing)
    assert result.passes == "gate"
    assert "| 0.00 | ∞ |" in table.markdown([result], 1).replace("serverless-offline ", "")
