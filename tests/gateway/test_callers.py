"""Who may call what stands in for AWS, by where a request comes from and what it says of itself."""

import re

import pytest

from trunkline.gateway.admission import Admission
from trunkline.gateway.callers import Callers, Host, is_by_a_page
from trunkline.gateway.request_reader import HttpRequest


def callers(pattern=r"lambda\..+", **rules):
    return Callers(Admission(), re.compile(pattern), **rules)


def request(*headers, peer="127.0.0.1"):
    return HttpRequest("POST", "/", "", list(headers), peer=peer)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "lambda.eu-west-1.amazonaws.com:443"])
def test_a_name_of_this_machine_or_of_the_service_is_ours(host):
    assert callers().host(host) == Host()


@pytest.mark.parametrize("host", ["", "evil.example", "s3.amazonaws.com", "127.0.0.1.evil.example"])
def test_any_other_name_is_not(host):
    assert callers().host(host) is None


def test_a_configured_name_is_ours_in_any_case_and_public():
    assert callers(hosts=["API.example"]).host("api.EXAMPLE:8000") == Host(is_public=True)


def test_what_the_services_name_captures_is_the_id_of_an_api():
    assert callers(r"([^.]+)\.execute-api\..+").host("abc.execute-api.us-east-1.amazonaws.com") == Host("abc")


def test_a_program_of_this_machine_need_not_sign():
    assert callers().trusts(request())


def test_everybody_signs_where_that_is_asked_for():
    assert not callers(verifying=True).trusts(request())


def test_another_machine_signs():
    assert not callers().trusts(request(peer="192.0.2.1"))


def test_who_speaks_for_somebody_else_signs():
    assert not callers().trusts(request(("X-Forwarded-For", "127.0.0.1")))


def test_everybody_signs_once_others_can_reach_the_door():
    admission = Admission()
    admission.loopback = False
    assert not Callers(admission, re.compile("x")).trusts(request())


@pytest.mark.parametrize("name", ["Origin", "Sec-Fetch-Site"])
def test_a_browser_gives_itself_away(name):
    assert is_by_a_page(request((name, "null")).named)
    assert not is_by_a_page(request().named)


def test_a_policy_may_ask_where_a_call_comes_from():
    context = callers().context(request(("User-Agent", "curl"), peer="192.0.2.1"))
    assert context.keys() == {"aws:SourceIp", "aws:UserAgent", "aws:CurrentTime", "aws:EpochTime"}
    assert (context["aws:SourceIp"], context["aws:UserAgent"]) == ("192.0.2.1", "curl")
