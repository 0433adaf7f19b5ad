"""Tokens are `name.role.signature`."""

import hashlib
import hmac
import os

SECRET = os.environ["TOKEN_SECRET"].encode()


def authorize(event, context):
    assert event["type"] == "REQUEST"
    token = event["queryStringParameters"]["token"]
    name, role, signature = (token.split(".") + ["", ""])[:3]
    expected = hmac.new(SECRET, f"{name}.{role}".encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature, expected):
        raise Exception("Unauthorized")
    desks = event["multiValueQueryStringParameters"].get("desk", [])
    return {
        "principalId": name,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Deny" if role == "banned" else "Allow",
                    "Resource": event["methodArn"],
                }
            ],
        },
        "context": {"role": role, "desks": ",".join(desks), "level": 7, "staff": role == "agent"},
    }
