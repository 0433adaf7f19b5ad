"""A board of cells that everybody sees; each change carries the version that it was made from."""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Key

dynamodb = boto3.resource("dynamodb")
table = dynamodb.Table(os.environ["TABLE"])
management = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CALLBACK_URL"])
pool = ThreadPoolExecutor(max_workers=8)


class DecimalEncoder(json.JSONEncoder):
    def default(self, value):
        return int(value) if isinstance(value, Decimal) else super().default(value)


def set_cell(event, context):
    return asyncio.run(_set_cell(event))


async def _set_cell(event):
    me = event["requestContext"]["connectionId"]
    request = json.loads(event["body"])
    try:
        cell = table.update_item(
            Key={"pk": "cells", "sk": request["cell"]},
            UpdateExpression="SET #v = :value ADD version :one",
            ConditionExpression="version = :from" if request["version"] else "attribute_not_exists(version)",
            ExpressionAttributeNames={"#v": "value"},
            ExpressionAttributeValues={":value": request["value"], ":one": 1}
            | ({":from": request["version"]} if request["version"] else {}),
            ReturnValues="ALL_NEW",
        )["Attributes"]
    except dynamodb.meta.client.exceptions.ConditionalCheckFailedException:
        current = table.get_item(Key={"pk": "cells", "sk": request["cell"]}, ConsistentRead=True).get("Item", {})
        await asyncio.to_thread(post, me, {"conflict": request["cell"], "version": current.get("version", 0)})
        return {"statusCode": 409}
    everybody = table.query(KeyConditionExpression=Key("pk").eq("connections"))["Items"]
    message = {"cell": cell["sk"], "value": cell["value"], "version": cell["version"]}
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(pool, post, one["sk"], message) for one in everybody))
    return {"statusCode": 200}


def whole_board(event, context):
    """The answer of a two-way route, or of `$default`, which has none."""
    cells = table.query(KeyConditionExpression=Key("pk").eq("cells"))["Items"]
    return {
        "statusCode": 200,
        "body": json.dumps({one["sk"]: [one["value"], one["version"]] for one in cells}, cls=DecimalEncoder),
    }


def post(connection_id, message):
    try:
        management.post_to_connection(ConnectionId=connection_id, Data=json.dumps(message, cls=DecimalEncoder))
    except management.exceptions.GoneException:
        table.delete_item(Key={"pk": "connections", "sk": connection_id})
