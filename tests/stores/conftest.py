"""A DynamoDB that answers as a test says."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trunkline.stores.dynamodb import DynamoStore


class Answers:
    """What is asked of it, in order, and what it answers: a status and a body for each request, the last one for ever.

    An answer is (status, body), a function of the request that gives that, or None to break the connection.
    """

    def __init__(self, url):
        self.url = url
        self.asked = []
        self.answers = []

    def __call__(self, *answers):
        self.answers = list(answers)

    def next(self, operation, body):
        self.asked.append((operation, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(body) if callable(answer) else answer

    def store(self, tables=None, **options):
        """A store of it that tries everything twice."""
        options = {"region": "us-east-1", "attempts": 2} | options
        return DynamoStore(tables or {"x": "table-x"}, endpoint=self.url, **options)


def error(code, message="", status=400, **more):
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}


@pytest.fixture
def dynamodb_says():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = answers.next(self.headers["X-Amz-Target"].partition(".")[2], body)
            if answer is None:
                self.connection.close()
                return
            text = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):
                self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answers = Answers(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield answers
    server.shutdown()
    thread.join()
    server.server_close()
