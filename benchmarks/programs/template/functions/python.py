"""The reply is what came."""


def echo(event, context):
    return {"statusCode": 200, "body": event.get("body")}
