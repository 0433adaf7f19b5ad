import os

import boto3

dynamodb = boto3.client("dynamodb")


def lambda_handler(event, context):
    where = event["requestContext"]
    dynamodb.delete_item(TableName=os.environ["TABLE_NAME"], Key={"connectionId": {"S": where["connectionId"]}})
    print("left with", where["disconnectStatusCode"], where["disconnectReason"] or "no reason")
    return {"statusCode": 200, "body": "Disconnected."}
