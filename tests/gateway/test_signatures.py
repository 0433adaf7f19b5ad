"""Signatures of AWS's version 4: botocore makes them, and what is changed afterwards is refused."""

import datetime as dt
import gc
import sys
from dataclasses import dataclass, replace

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from trunkline import clock
from trunkline.gateway.keys import Key
from trunkline.gateway.signatures import SignatureError, Verifier

NOW = dt.datetime(2026, 11, 25, 12, 0, 0, tzinfo=dt.UTC)
ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a/session+token=="
KEY, GUEST = Key(ID, SECRET), Key("ASIAGUEST", SECRET, TOKEN)
VERIFIER = Verifier([KEY, GUEST], "us-east-1")
URL = "http://127.0.0.1:8000/prod/@connections/R0oXAdfD0kwCH6w%3D"
INVALID, INCOMPLETE = "InvalidSignatureException", "IncompleteSignatureException"
UNKNOWN, MISSING = "UnrecognizedClientException", "MissingAuthenticationTokenException"
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
)


@pytest.fixture(autouse=True)
def noon():
    """The server's clock stands still."""
    before = clock.set_source(NOW.timestamp)
    yield
    clock.set_source(before)


@dataclass(frozen=True)
class Request:
    """What comes in at the wire."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def verify(self, verifier=VERIFIER):
        return verifier.verify(self.method, self.path, self.query, list(self.headers), self.body)

    def without(self, name):
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() != name.lower()))

    def with_header(self, name, value):
        """Changed, or added behind the others."""
        return replace(self.without(name), headers=(*self.without(name).headers, (name, value)))

    def header(self, name):
        (value,) = [value for key, value in self.headers if key.lower() == name]
        return value

    def authorization(self, old, new):
        before = self.header("authorization")
        assert old in before
        return self.with_header("authorization", before.replace(old, new))


def sign(
    method="POST", url=URL, body=b"hello", headers=None, *,
    key_id=ID, secret=SECRET, token=None, at=NOW, region="us-east-1", service="execute-api", expires=None,
):  # fmt: skip
    """As botocore does it, in the header, or in the query if `expires` is given."""
    request = AWSRequest(method, url, dict(headers or {}), body)
    credentials = Credentials(key_id, secret, token)
    signer = (
        botocore.auth.SigV4Auth(credentials, service, region)
        if expires is None
        else botocore.auth.SigV4QueryAuth(credentials, service, region, expires)
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.auth, "get_current_datetime", lambda: at.replace(tzinfo=None))
        signer.add_auth(request)
    _, _, _, *rest = request.url.split("/")
    host = request.url.split("/")[2]
    path, _, query = "/".join(["", *rest]).partition("?")
    return Request(method, path, query, (("Host", host), *request.headers.items()), b"" if expires else body)


def presign(**how):
    return sign("GET", body=b"", **{"expires": 60} | how)


def refusal(request, verifier=VERIFIER):
    with pytest.raises(SignatureError) as refused:
        request.verify(verifier)
    assert str(refused.value) == refused.value.message
    return refused.value.kind, refused.value.message


# What is good.


def test_a_signature_in_the_header_names_its_key():
    assert sign().verify() is KEY


def test_a_signature_in_the_query_names_its_key():
    assert presign().verify() is KEY


def test_a_verifier_knows_the_signatures_of_its_own_service_alone():
    functions = Verifier([KEY], "us-east-1", "lambda")
    assert sign(service="lambda").verify(functions) is KEY
    assert refusal(sign(), functions) == (INVALID, "Credential should be scoped to correct service: 'lambda'.")


def test_a_session_has_its_token_in_the_header_or_the_query():
    assert sign(key_id="ASIAGUEST", token=TOKEN).verify() is GUEST
    assert presign(key_id="ASIAGUEST", token=TOKEN).verify() is GUEST


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/prod/@connections/a", "/prod/%40connections/a%3D%3D", "/prod/@connections/-_%3d", "/p~r.o-d/@connections/%2541"],
)
def test_the_path_of_the_wire_is_what_is_signed(method, path):
    request = sign(method, f"http://localhost{path}")
    assert request.path == path
    assert request.verify() is KEY


@pytest.mark.parametrize(
    "query", ["a=1", "b=2&a=1", "a=2&a=1", "a", "a=", "a=%20%2B%C3%A9~&b=%26%3D", "a-b=1&a=2&a.b=3", "X=1&x=2"]
)
def test_a_query_is_signed_sorted(query):
    assert sign(url=f"{URL}?{query}").verify() is KEY


def test_headers_are_signed_whatever_their_case_and_spaces():
    request = sign(headers={"Content-Type": "text/plain;  charset=utf-8", "X-Amz-Meta": "  a   b "})
    assert "content-type;host;x-amz-date;x-amz-meta" in request.header("authorization")
    assert replace(request, headers=tuple((k.upper(), v) for k, v in request.headers)).verify() is KEY


def test_a_declared_hash_is_that_of_the_body():
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # of hello
    assert sign(headers={"X-Amz-Content-SHA256": digest}).verify() is KEY


def test_headers_that_others_add_on_the_way_need_no_signature():
    for name in ("X-Forwarded-For", "X-Amzn-Trace-Id", "X-Amz-Cf-Id", "User-Agent"):
        assert sign().with_header(name, "x").verify() is KEY


def test_a_request_that_is_sent_again_within_its_time_is_taken_again():
    request = sign()
    assert request.verify() is request.verify() is KEY


def test_spaces_behind_commas_are_as_each_client_writes_them():
    assert sign().authorization(", ", ",").verify() is KEY
    assert sign().authorization(", ", ",  ").verify() is KEY


NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6)
SEGMENT = st.text("abcXYZ019-_~@%3D=+:,;!$&'()*", min_size=1, max_size=12).filter(
    lambda text: "%" not in text.replace("%3D", "")
)
VALUE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@given(
    st.sampled_from(["POST", "GET", "DELETE"]),
    st.lists(SEGMENT, min_size=1, max_size=4),
    st.dictionaries(NAMES, NAMES, max_size=3),
    st.dictionaries(NAMES.map("x-amz-y{}".format) | NAMES.map("x-{}".format), VALUE, max_size=3),
    st.binary(max_size=64),
)
def test_whatever_botocore_signs_is_right(method, path, query, headers, body):
    url = f"http://host.example:8000/{'/'.join(path)}"
    if query:
        url += "?" + "&".join(f"{name}={value}" for name, value in query.items())
    assert sign(method, url, body, headers).verify() is KEY


# Whose it is.


def test_an_unsigned_request_is_told_in_aws_words():
    assert refusal(sign().without("authorization")) == (MISSING, "Missing Authentication Token")


def test_a_wrong_secret():
    kind, message = refusal(sign(secret=SECRET[:-1] + "Z"))
    assert kind == INVALID
    assert message == MISMATCH + " and signing method. Consult the service documentation for details."


def test_an_unknown_key():
    assert refusal(sign(key_id="AKIDNOBODY")) == (UNKNOWN, "The security token included in the request is invalid.")
    assert refusal(presign(key_id="AKIDNOBODY"))[0] == UNKNOWN


def test_nobody_is_known_where_no_key_is():
    for none in (Verifier(None, "us-east-1"), Verifier([], "us-east-1")):
        assert refusal(sign(), none)[0] == UNKNOWN
    assert (Verifier(None, "us-east-1").is_configured, Verifier([], "us-east-1").is_configured) == (False, True)


def calls_of(request):
    """How many functions, ours and the interpreter's, a refusal takes."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in {"call", "c_call"}

    gc.disable()  # its callbacks would be counted
    sys.setprofile(note)
    try:
        refusal(request)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize("make", [sign, presign])
def test_an_unknown_key_costs_as_much_as_a_wrong_secret(make):
    unknown, wrong = make(key_id="AKIDNOBODY1"), make(secret="wrong")
    refusal(unknown), refusal(wrong)
    assert calls_of(unknown) == calls_of(wrong) > 50


@pytest.mark.parametrize("how", [{"token": None}, {"token": "other"}, {"token": TOKEN + " "}])
def test_a_session_without_its_own_token(how):
    assert refusal(sign(key_id="ASIAGUEST", **how))[0] == UNKNOWN
    assert refusal(presign(key_id="ASIAGUEST", **how))[0] == UNKNOWN


def test_a_token_of_a_key_that_has_none():
    assert refusal(sign(token=TOKEN))[0] == UNKNOWN


def test_a_token_beside_the_signature():
    request = sign(key_id="ASIAGUEST").with_header("X-Amz-Security-Token", TOKEN)
    assert refusal(request) == (INVALID, "'x-amz-security-token' must be a 'SignedHeader' in the AWS Authorization.")


# What was changed.


CHANGED = {
    "a byte of the body": lambda r: replace(r, body=b"Hello"),
    "no body": lambda r: replace(r, body=b""),
    "a longer body": lambda r: replace(r, body=r.body + b"\n"),
    "a letter of the path": lambda r: replace(r, path=r.path.replace("R0", "R1")),
    "another stage": lambda r: replace(r, path=r.path.replace("prod", "dev")),
    "a decoded path": lambda r: replace(r, path=r.path.replace("%3D", "=")),
    "an encoded path": lambda r: replace(r, path=r.path.replace("@", "%40")),
    "the path's case": lambda r: replace(r, path=r.path.replace("%3D", "%3d")),
    "another verb": lambda r: replace(r, method="DELETE"),
    "a query": lambda r: replace(r, query="a=1"),
    "another host": lambda r: r.with_header("Host", "localhost:8000"),
    "no host": lambda r: r.without("host"),
    "two hosts": lambda r: replace(r, headers=(*r.headers, ("host", "127.0.0.1:8000"))),
    "a signed header": lambda r: r.with_header("Content-Type", "text/html"),
    "a signed header twice": lambda r: replace(r, headers=(*r.headers, ("Content-Type", "text/plain"))),
    "no signed header": lambda r: r.without("content-type"),
    "a signed header by name alone": lambda r: r.authorization("SignedHeaders=", "SignedHeaders=accept;"),
    "a name of a header twice": lambda r: r.authorization("SignedHeaders=", "SignedHeaders=content-type;"),
    "the order of names": lambda r: r.authorization("content-type;host", "host;content-type"),
    "a letter of the signature": lambda r: r.authorization("Signature=", "Signature=0"),
    "an upper-case signature": lambda r: r.with_header(
        "authorization", "=".join([*r.header("authorization").split("=")[:-1], r.header("authorization").split("=")[-1].upper()])
    ),
    "a signature that is no hexadecimal": lambda r: r.authorization("Signature=", "Signature=\xe9"),
    "another time": lambda r: r.with_header("X-Amz-Date", "20261125T120001Z"),
    "an unsigned payload": lambda r: sign(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}),
    "a hash of another body": lambda r: sign(headers={"X-Amz-Content-SHA256": "0" * 64}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGED)
def test_what_was_changed_after_it_was_signed_is_refused(change):
    request = sign(headers={"Content-Type": "text/plain"})
    assert request.verify() is KEY
    kind, message = refusal(CHANGED[change](request))
    assert (kind, message[: len(MISMATCH)]) == (INVALID, MISMATCH)


IN_QUERY = {
    "the path": lambda r: replace(r, path=r.path.replace("R0", "R1")),
    "a body": lambda r: replace(r, body=b"hello"),
    "another verb": lambda r: replace(r, method="POST"),
    "a parameter": lambda r: replace(r, query=r.query + "&a=1"),
    "how long it is good": lambda r: replace(r, query=r.query.replace("Expires=60", "Expires=61")),
    "a letter of the signature": lambda r: replace(r, query=r.query.replace("X-Amz-Signature=", "X-Amz-Signature=0")),
    "a parameter of the signature twice": lambda r: replace(r, query=r.query + "&X-Amz-Expires=60"),
    "another host": lambda r: r.with_header("Host", "localhost"),
}


@pytest.mark.parametrize("change", IN_QUERY)
def test_what_was_changed_after_it_was_signed_in_the_query_is_refused(change):
    request = presign()
    assert request.verify() is KEY
    kind, message = refusal(IN_QUERY[change](request))
    assert (kind, message[: len(MISMATCH)]) == (INVALID, MISMATCH)


def test_a_header_that_aws_reads_must_be_signed():
    request = sign().with_header("X-Amz-Target", "x")
    assert refusal(request) == (INVALID, "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization.")
    assert refusal(presign().with_header("X-Amz-Target", "x"))[0] == INVALID


@pytest.mark.parametrize("names", ["x-amz-date", "", "HOST"])
def test_the_host_must_be_signed(names):
    request = sign().authorization("SignedHeaders=host;x-amz-date", f"SignedHeaders={names or 'x'}")
    assert refusal(request) == (INVALID, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")


# What is signed for something else.


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"region": "eu-west-1"}, "Credential should be scoped to a valid region, not 'eu-west-1'."),
        ({"service": "s3"}, "Credential should be scoped to correct service: 'execute-api'."),
        (
            {"region": "eu-west-1", "service": "s3"},
            "Credential should be scoped to a valid region, not 'eu-west-1'. Credential should be scoped to correct service: 'execute-api'.",
        ),
    ],
)
def test_another_region_or_service(how, message):
    assert refusal(sign(**how)) == (INVALID, message)
    assert refusal(presign(**how)) == (INVALID, message)


def test_another_terminator():
    assert refusal(sign().authorization("aws4_request", "aws5_request")) == (
        INVALID, "Credential should be scoped with a valid terminator: 'aws4_request'.",
    )  # fmt: skip


def test_a_day_that_is_not_that_of_the_request():
    assert refusal(sign().authorization("20261125/", "20261124/")) == (
        INVALID, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
    )  # fmt: skip


# When it was signed.


def after(seconds):
    return NOW + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_five_minutes_early_or_late_are_taken(seconds):
    assert sign(at=after(seconds)).verify() is KEY


def test_more_is_refused():
    assert refusal(sign(at=after(-301))) == (
        INVALID,
        "Signature expired: 20261125T115459Z is now earlier than 20261125T115500Z (20261125T120000Z - 5 min.)",
    )
    assert refusal(sign(at=after(301))) == (
        INVALID,
        "Signature not yet current: 20261125T120501Z is still later than 20261125T120500Z (20261125T120000Z + 5 min.)",
    )


def test_half_a_second_counts():
    clock.set_source(lambda: NOW.timestamp() + 0.5)
    assert refusal(sign(at=after(-300)))[0] == INVALID
    assert sign(at=after(300)).verify() is KEY


def test_one_in_the_query_says_how_long_it_is_good():
    assert presign(at=after(-60)).verify() is KEY
    assert refusal(presign(at=after(-61)))[1].startswith(
        "Signature expired: 20261125T115859Z is now earlier than 20261125T115900Z"
    )
    assert presign(at=after(-604_800), expires=604_800).verify() is KEY
    assert presign(at=after(300)).verify() is KEY
    assert refusal(presign(at=after(301)))[1].startswith("Signature not yet current: ")


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "x", "1e3", "9999999", "6 0"])
def test_a_week_at_most(expires):
    request = presign()
    changed = replace(request, query=request.query.replace("X-Amz-Expires=60", f"X-Amz-Expires={expires}"))
    assert refusal(changed) == (INCOMPLETE, "X-Amz-Expires must be between 1 and 604800 seconds")


@pytest.mark.parametrize("rest", ["", "T120000", "T12:00:00Z", "T126000Z", "T240000Z", "T120000Z0", "T\u06611200Z"])
def test_a_time_that_is_none(rest):
    words = "Date must be in ISO-8601 'basic format', such as 20150830T123600Z"
    assert refusal(sign().with_header("X-Amz-Date", f"20261125{rest}")) == (INCOMPLETE, words)


# What is no signature.


def test_no_time():
    kind, message = refusal(sign().without("x-amz-date"))
    assert kind == INCOMPLETE
    assert message.startswith(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        "(Hashed with SHA-256 and encoded with Base64) Authorization="
    )


def test_two_times():
    request = sign()
    twice = replace(request, headers=(*request.headers, ("x-amz-date", request.header("x-amz-date"))))
    assert refusal(twice)[0] == INCOMPLETE


@pytest.mark.parametrize("name", ["Credential", "SignedHeaders", "Signature"])
def test_a_part_that_is_missing_is_named(name):
    for request in (
        sign().authorization(f"{name}=", "Other="),
        sign().with_header("authorization", f"AWS4-HMAC-SHA256 {name}="),
    ):
        assert f"Authorization header requires '{name}' parameter." in refusal(request)[1]


@pytest.mark.parametrize(
    "header",
    [
        "Bearer a-secret", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 a-secret", "AWS4-HMAC-SHA1 Credential=a-secret", "", "a-secret",
        "aws4-hmac-sha256 Credential=a-secret", "AWS4-ECDSA-P256-SHA256 Credential=a-secret", "AWS4-HMAC-SHA256 Credential=a-secret,",
        "AWS4-HMAC-SHA256 Credential=a, Credential=a-secret", "\xe9 a-secret",
    ],
)  # fmt: skip
def test_any_other_authorization_is_incomplete_and_not_repeated(header):
    kind, message = refusal(sign().with_header("authorization", header))
    assert kind == INCOMPLETE
    assert message.startswith(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '"
    )
    assert "a-secret" not in message


@pytest.mark.parametrize(
    "credential", ["a", "a/20261125/us-east-1/execute-api", "a/b/20261125/us-east-1/execute-api/aws4_request"]
)
def test_a_credential_has_five_parts(credential):
    request = sign().with_header(
        "authorization", f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=a"
    )
    assert refusal(request) == (
        INCOMPLETE, "Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/term",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Signature", "SignedHeaders", "Date", "Expires"])
def test_a_parameter_that_is_missing_is_named(name):
    request = presign()
    changed = replace(request, query=request.query.replace(f"X-Amz-{name}=", f"X-Other-{name}="))
    assert refusal(changed) == (
        INCOMPLETE, f"AWS query-string parameters must include 'X-Amz-{name}'. Re-examine the query-string parameters.",
    )  # fmt: skip


def test_another_algorithm_in_the_query():
    request = presign()
    changed = replace(request, query=request.query.replace("HMAC-SHA256", "HMAC-SHA1"))
    assert refusal(changed) == (INCOMPLETE, 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')


def test_a_signature_in_the_header_and_one_in_the_query():
    in_query, in_header = presign(), sign("GET", body=b"")
    both = in_query.with_header("Authorization", in_header.header("authorization"))
    assert refusal(both) == (INVALID, "Only one of the Authorization header and the query string may be signed.")


TEXT = st.text(st.characters(max_codepoint=255), max_size=40)


@given(TEXT, TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_any_request_is_signed_by_a_key_or_refused(path, query, authorization, headers):
    for value in (authorization, "AWS4-HMAC-SHA256 " + authorization):
        with pytest.raises(SignatureError):
            VERIFIER.verify("POST", path, query, [*headers, ("Authorization", value)], b"")
