import json


def handler(event, context):
    about = event["requestContext"]
    route = about["routeKey"]
    if route == "$disconnect":
        print(f"{about['authorizer']['principalId']} left: {about['disconnectStatusCode']}, {sorted(event)}")
        return {}
    if route == "2/quiet":
        return {"statusCode": 200, "body": "nobody hears this"}
    if route != "2/who":
        return {"statusCode": 400, "body": f"{route}: no such thing as {event['body']}"}
    return {"statusCode": 200, "body": json.dumps(described(event, about))}


def described(event, about):
    return {
        "event": sorted(event),
        "requestContext": sorted(about),
        "authorizer": about["authorizer"],
        "minutes": (about["requestTimeEpoch"] - about["connectedAt"]) // 60_000,
        "connectedAt": type(about["connectedAt"]).__name__,
        "queryless": event.get("queryStringParameters") is None and "headers" not in event,
        "stage": about["stage"],
        "direction": about["messageDirection"],
    }
