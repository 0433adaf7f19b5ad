import os

import boto3

dynamodb = boto3.client("dynamodb")


def lambda_handler(event, context):
    connection_id = event["requestContext"].get("connectionId")
    name = (event.get("queryStringParameters") or {}).get("name", "somebody")
    try:
        dynamodb.put_item(
            TableName=os.environ["TABLE_NAME"], Item={"connectionId": {"S": connection_id}, "name": {"S": name}}
        )
    except Exception as error:
        return {"statusCode": 500, "body": "Failed to connect: " + str(error)}
    return {"statusCode": 200, "body": "Connected."}
