"""Everything is said by templates: to a mock, a server, a table and a function."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LOGGED = {"for ['station', 'values']": 2}
# Two handshakes without a station and three messages that are no reading; nothing of what was said is in the log.
FAILURES = [
    r"INFO.* a handshake was refused: \$connect at .*yaml:\d+ requires route.request.querystring.station; "
] * 2 + [
    rf"INFO.* what came to measured at .*template\.yaml:\d+ was refused: its model refuses it: {where}; "
    for where in ("properties/celsius/type", "required", "additionalProperties")
]
asked = []  # every request that the server got


class Stations(BaseHTTPRequestHandler):
    """The server that knows the stations."""

    def do_POST(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        asked.append((url.path, query, {name.lower(): value for name, value in self.headers.items()}, body))
        status, answer = self._answer(url.path, body)
        text = answer.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _answer(self, path, body):
        if path == "/said":
            return (500, "no umbrella") if "rain" in body else (200, f"heard {body}")
        if path == "/forecast":
            place = json.loads(body)["place"]
            if place != "Oslo":
                return 404, json.dumps({"message": f'there is no "{place}"'})
            return 200, json.dumps({"days": {day: "snow" for day in json.loads(body)["days"]}})
        return (403, '{"closed": true}') if path == "/stations/closed%2Fdown" else (204, "")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving():
    """The server; more arguments of the command."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stations) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ["--parameter", f"Server=http://127.0.0.1:{server.server_port}"]
        finally:
            server.shutdown()
            thread.join()


async def script(connect):
    await who_may_come(connect)
    async with connect("live", "station=oslo&station=bergen") as station:
        path, query, headers, body = asked[-1]
        assert (path, query, body) == ("/stations/bergen", {"version": "7"}, "")
        connection = headers["connectionid"]
        await station.says({"action": "ping"})
        await station.hears({"pong": connection, "stage": "live", "version": "7"})
        await through_to_the_server(station, connection)
        await translated(station)
        await into_the_table(station)
        await to_a_function(station)


async def who_may_come(connect):
    status, _, body = await connect.refused("live")
    assert status == 400, (status, body)
    status, _, body = await connect.refused("live", "station=")
    assert (status, asked) == (400, []), (status, body)
    status, _, body = await connect.refused("live", "station=closed/down")
    assert (status, body) == (403, '{"closed": true}'), (status, body)


async def through_to_the_server(station, connection):
    said = '{"action": "said", "about": {"what": "sun & moon"}}'
    await station.says(said)
    await station.hears(f"heard {said}")
    path, query, headers, body = asked[-1]
    assert (path, query, body) == ("/said", {"about": "sun & moon"}, said)
    assert (headers["connectionid"], headers["kind"]) == (connection, "weather")
    await station.says("no JSON at all")
    await station.hears("heard no JSON at all")
    assert "about" not in asked[-1][1]
    await station.says("rain")
    await station.hears("no umbrella")


async def translated(station):
    await station.says({"action": "forecast", "place": "Oslo", "days": ["today", "tomorrow"]})
    await station.hears({"forecast": {"today": "snow", "tomorrow": "snow"}, "for": "forecast"})
    assert json.loads(asked[-1][3]) == {"place": "Oslo", "days": ["today", "tomorrow"]}
    await station.says({"action": "forecast", "place": "It's", "days": []})
    # JavaScript needs \' and JSON forbids it: AWS's documentation says to undo it, and this template does not.
    assert await station.next() == '{"forecast": null, "because": "there is no \\"It\\\'s\\""}'


async def into_the_table(station):
    reading = {"action": "measured", "station": "bergen", "hour": 7, "celsius": -3.5}
    await station.says(reading)
    await station.hears({"kept": True})
    await station.says(reading)
    await station.hears({"kept": False, "because": "ConditionalCheckFailedException"})
    await station.says(reading | {"hour": 8, "celsius": 2, "wind": {"from": "N"}})
    await station.hears({"kept": True})
    for wrong in ({"celsius": "cold"}, {"hour": None}, {"secret": 1}):
        message = {name: value for name, value in (reading | wrong).items() if value is not None}
        await station.says(message)
        told = await station.next()
        assert list(told) == ["message", "connectionId", "messageId"], told
        assert told["message"] == "Bad request body", told
    await station.says({"action": "day", "station": "bergen"})
    await station.hears({"day": [{"hour": 7, "celsius": -3.5}, {"hour": 8, "celsius": 2}]})
    await station.says({"action": "day", "station": "nowhere"})
    await station.hears({"day": []})


async def to_a_function(station):
    await station.says({"action": "mean", "values": [1, 2.5, 4]})
    await station.hears({"mean": 2.5, "of": 3})
    await station.says({"action": "mean", "values": []})
    await station.hears({"mean": None, "because": "nothing to take the mean of", "kind": "ValueError"})
