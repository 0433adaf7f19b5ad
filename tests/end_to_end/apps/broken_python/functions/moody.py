"""Does what it is told to in the query or the message; counts what this process has answered."""

import json
import os
import signal
import sys
import time

answered = 0


def handler(event, context):
    global answered
    answered += 1
    asked = json.loads(event["body"]) if "body" in event else event.get("queryStringParameters") or {}
    match asked.get("mood"):
        case "raise":
            raise LookupError("in a bad mood")
        case "sleep":
            time.sleep(3)
        case "nap":
            time.sleep(0.6)
        case "exit":
            sys.exit(asked.get("code", 1))
        case "vanish":
            os._exit(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "unknown key":
            return {"statusCode": 200, "body": "lost", "message": "hello"}
        case "status in words":
            return {"statusCode": "fine", "body": "lost"}
        case "text":
            return "lost"
        case "no JSON":
            return {"statusCode": 200, "body": {1, 2}}
        case "object":
            return {"statusCode": 200, "body": {"lost": True}}
        case "500":
            return {"statusCode": 500, "body": "an error, and yet a body"}
    return {"statusCode": 200, "body": f"answer {answered}"}
