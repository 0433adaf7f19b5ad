import json
import os

import boto3
from botocore.exceptions import ClientError

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def lambda_handler(event, context):
    where = event["requestContext"]
    request = json.loads(event["body"])
    management = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
    try:
        about = management.get_connection(ConnectionId=request["to"])
        management.post_to_connection(
            ConnectionId=request["to"],
            Data=json.dumps({"direct": request["data"], "id": where["connectionId"]}).encode("utf-8"),
        )
        answer = {"delivered": request["to"], "since": about["ConnectedAt"].year > 2000}
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "GoneException":
            table.delete_item(Key={"connectionId": request["to"]})
        answer = {"failed": request["to"], "why": code}
    management.post_to_connection(ConnectionId=where["connectionId"], Data=json.dumps(answer))
    return {"statusCode": 200}
