import os
import time

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
PARTITION = "connections"


def handler(event, context):
    about = event["requestContext"]
    key = {"pk": PARTITION, "sk": about["connectionId"]}
    if about["eventType"] == "DISCONNECT":
        table.delete_item(Key=key)
    else:
        table.put_item(Item=key | {"since": about["connectedAt"], "ttl": int(time.time()) + 7200})
    return {"statusCode": 200}
