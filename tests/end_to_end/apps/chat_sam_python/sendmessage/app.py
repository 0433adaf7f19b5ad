import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def lambda_handler(event, context):
    where = event["requestContext"]
    data = json.loads(event["body"])["data"]
    people = table.scan(ProjectionExpression="connectionId, #n", ExpressionAttributeNames={"#n": "name"})["Items"]
    sender = next(one for one in people if one["connectionId"] == where["connectionId"])
    management = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
    message = json.dumps({"from": sender["name"], "id": sender["connectionId"], "data": data})
    for one in people:
        try:
            management.post_to_connection(ConnectionId=one["connectionId"], Data=message)
        except management.exceptions.GoneException:
            table.delete_item(Key={"connectionId": one["connectionId"]})
    return {"statusCode": 200, "body": "Data sent."}
