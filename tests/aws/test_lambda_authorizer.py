"""What API Gateway is told of an authorizer's decision; that clients are told the same is in test_lambda_program.py."""

import pytest

from trunkline import Allow, testing
from trunkline.aws.lambda_authorizer import decide
from trunkline.model.authorization import Refused

ARN = "arn:aws:execute-api:us-east-1:000000000000:0000000000/socket/$connect"


async def told(said):
    async def authorizer(ctx):
        return said(ctx) if callable(said) else said

    return await decide(authorizer, testing.context(event="authorizer").req)


def policy(effect):
    return {"Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": ARN}]}


async def test_allow_is_a_policy_for_this_handshake_with_a_principal_and_a_context_of_texts():
    answer = await told(Allow("ann", {"level": 7, "admin": True}))
    assert answer == {
        "principalId": "ann", "policyDocument": policy("Allow"), "context": {"level": "7", "admin": "true"},
    }  # fmt: skip


@pytest.mark.parametrize("said", [None, False])
async def test_no_is_a_policy_that_denies(said):
    assert await told(said) == {"principalId": "refused", "policyDocument": policy("Deny")}


@pytest.mark.parametrize("status", [302, 403, 429, 503])
async def test_a_refusal_is_a_policy_that_denies(status):
    assert await told(lambda ctx: ctx.res.reject(status, "no")) == {
        "principalId": "refused", "policyDocument": policy("Deny"),
    }  # fmt: skip


async def test_401_is_what_only_an_error_can_say():
    for said in (lambda ctx: ctx.res.reject(401), Allow("ann", expires_at=1)):
        with pytest.raises(Refused) as refused:
            await told(said)
        assert refused.value.status == 401


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
async def test_a_policy_of_the_programs_own_is_api_gateways_to_read(effect):
    own = {"policyDocument": policy(effect), "context": {"a": 1}, "usageIdentifierKey": "key"}
    assert await told(own) == own


async def test_what_is_recorded_goes_before_what_is_returned():
    def both(ctx):
        ctx.res.reject(403)
        return {"policyDocument": policy("Allow")}

    assert (await told(both))["policyDocument"] == policy("Deny")


@pytest.mark.parametrize("said", [True, "ann", {"principalId": "ann"}])
async def test_what_is_no_decision_is_an_error(said):
    with pytest.raises(TypeError, match="the authorizer returned a "):
        await told(said)
