import json

OURS = "desk.v2"


def handler(event, context):
    headers = {name.lower(): value for name, value in event["headers"].items()}
    offered = [one.strip() for one in headers.get("sec-websocket-protocol", "").split(",")]
    if OURS not in offered:
        return {"statusCode": 400, "body": f"speak {OURS}"}
    desks = event["multiValueQueryStringParameters"].get("desk")
    if not desks:
        return {
            "statusCode": 422,
            "headers": {"Content-Type": "application/json"},
            "body": json.dumps({"error": "which desk?", "you": event["requestContext"]["authorizer"]["principalId"]}),
        }
    if event["queryStringParameters"]["desk"] == "closed":  # the last of them
        return {"statusCode": 503, "body": json.dumps({"desks": desks, "event": sorted(event)})}
    return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": OURS}}
