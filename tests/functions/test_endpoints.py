"""The variables that a worker gets."""

import os
import subprocess
from pathlib import Path

import pytest

from trunkline.functions.endpoints import variables
from trunkline.functions.npm import find_node


def made(**more):
    usual = {"host": "127.0.0.1", "port": 8000, "region": "eu-west-1", "stages": [("a1b2c3d4e5", "prod")]}
    usual["environment"] = {}
    return variables(**usual | more)


def test_the_services_that_are_here_have_their_endpoints_and_all_others_are_left_alone():
    urls = {name: value for name, value in made(dynamodb="http://127.0.0.1:4567").items() if "ENDPOINT_URL" in name}
    assert urls == {
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "http://127.0.0.1:8000/prod",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:8000",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:4567",
    }


def test_tables_that_are_not_here_are_left_alone():
    assert "AWS_ENDPOINT_URL_DYNAMODB" not in made()


def test_services_that_a_user_has_elsewhere_are_where_the_user_says():
    elsewhere = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000", "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:9001"}
    found = made(environment=elsewhere | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_PROFILE": "mine"})
    assert {name: url for name, url in found.items() if name in {*elsewhere, "AWS_ENDPOINT_URL", "AWS_PROFILE"}} == {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000",
        "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:8000",
    }


def test_a_call_without_an_endpoint_means_the_first_stage():
    several = made(stages=[("a1b2c3d4e5", "dev"), ("zzzzzzzzzz", "prod")])
    assert several["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] == "http://127.0.0.1:8000/dev"


def test_without_a_stage_no_call_is_led_to_one():
    assert "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI" not in made(stages=[])


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1:8000"), ("::", "127.0.0.1:8000"), ("::1", "[::1]:8000"), ("localhost", "localhost:8000")],
)
def test_what_listens_everywhere_is_reached_on_this_machine(host, reached):
    assert made(host=host)["TRUNKLINE_LEAD_TO"] == reached


def test_the_local_authority_is_handed_to_the_clients_that_take_one():
    found = made(ca=Path("kept/ca.pem"), bundle=Path("kept/ca-bundle.pem"))
    assert {name: found[name] for name in ("NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE")} == {
        "NODE_EXTRA_CA_CERTS": "kept/ca.pem",
        "AWS_CA_BUNDLE": "kept/ca-bundle.pem",
    }


def test_without_an_authority_clients_trust_in_what_they_always_do():
    assert not {"NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "TRUNKLINE_LEAD_CA"} & made().keys()


def test_the_region_is_told_as_on_lambda():
    assert (made()["AWS_REGION"], made()["AWS_DEFAULT_REGION"]) == ("eu-west-1", "eu-west-1")


def test_node_takes_the_preload_from_a_folder_with_spaces_and_quotes(tmp_path, monkeypatch):
    preload = tmp_path / 'a "b" c' / "lead.cjs"
    preload.parent.mkdir()
    preload.write_text("console.log('loaded')")
    monkeypatch.setattr("trunkline.functions.endpoints.NODE_PRELOAD", preload)
    environment = os.environ | {"NODE_OPTIONS": made()["NODE_OPTIONS"]}
    done = subprocess.run([find_node(), "-e", ""], env=environment, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("loaded\n", "")
