"""Which stage a request means."""

import pytest

from trunkline.gateway.stages import Stage, by_host, find_stage, stage_at
from trunkline.model.api import CompiledApi


def stage(api_id, name):
    return Stage(CompiledApi(name, api_id, name, None, {}))


FIRST, B, SECOND = stage("aaaaaaaaaa", "a"), stage("aaaaaaaaaa", "b-1"), stage("bbbbbbbbbb", "a")
STAGES = {"a": FIRST, "b-1": B, "a-Second": SECOND, by_host("bbbbbbbbbb", "a"): SECOND}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", FIRST), ("/a/", FIRST), ("/b-1", B), ("/a-Second", SECOND), ("/", None), ("", None), ("a", None),
        ("/c", None), ("/a//", None), ("//a", None), ("/A", None), ("/a/b", None), ("/%61", None),
        ("http://localhost/a", None),
    ],
)  # fmt: skip
def test_a_stage_is_exactly_the_first_segment_of_the_raw_path(path, found):
    assert stage_at(STAGES, path, "localhost:8000") is found


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("aaaaaaaaaa.execute-api.us-east-1.amazonaws.com", FIRST),
        ("bbbbbbbbbb.execute-api.us-east-1.amazonaws.com", SECOND),
        ("BBBBBBBBBB.execute-api.us-east-1.localhost:8000", SECOND),
        ("cccccccccc.execute-api.us-east-1.amazonaws.com", FIRST),
        ("execute-api.us-east-1.amazonaws.com", FIRST),
        ("", FIRST),
    ],
)
def test_of_two_apis_with_a_stage_of_one_name_the_host_says_which_is_meant(host, found):
    assert stage_at(STAGES, "/a", host) is found


def test_a_stage_that_the_named_api_does_not_have_is_none():
    assert stage_at(STAGES, "/b-1", "bbbbbbbbbb.execute-api.us-east-1.amazonaws.com") is None


def test_a_stage_that_is_known_by_its_path_alone_must_be_of_the_api_that_is_named():
    assert find_stage(STAGES, "aaaaaaaaaa", "b-1") is B
    assert find_stage(STAGES, "bbbbbbbbbb", "b-1") is None
    assert find_stage(STAGES, "", "b-1") is B
