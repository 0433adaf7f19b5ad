"""The contract of seam 3: what send, close, info and fan-out mean, wherever a connection is."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import Limits, clock, limits, testing, websocket
from trunkline.config import Settings
from trunkline.connections.base import ConnectionInfo, FanOut
from trunkline.connections.management_api import ManagementApi
from trunkline.errors import ConfigurationError, InvalidConnectionId, MessageTooLarge, SlowConsumer, Throttled
from trunkline.testing import loop
from trunkline.testing.plugin import run_test

APIS = ("first", "second")
INVALID = [
    "",
    "x",
    "A" * 19,
    "A" * 20,
    "A" * 21,
    "é" * 20,
    "=" * 20,
    "../../../../../../..",
    "A" * 10_000,
    None,
    5,
    b"A" * 20,
]


class Local:
    """The connections of a node, asked in the same process.

    Attributes:
        connections: the implementation of the seam.
    """

    def __init__(self, message_bytes=limits.MESSAGE_BYTES):
        self._ids = []
        self._node = testing.node([self._socket(api, message_bytes) for api in APIS])

    def _socket(self, api, message_bytes):
        socket = websocket(api, binary=True, limits=Limits(message_bytes=message_bytes))

        @socket.on("connect")
        async def connect(ctx):
            self._ids.append(ctx.req.connection_id)
            if "wait" in ctx.req.query:
                await asyncio.sleep(float(ctx.req.query["wait"]))

        return socket

    async def __aenter__(self):
        self.node = await self._node.__aenter__()
        self.connections = self.node.running.connections
        return self

    async def __aexit__(self, *error):
        await self._node.__aexit__(*error)

    async def connect(self, api="first", **how):
        """A client, and the id of its connection."""
        client = await self.node.connect(api, **how)
        return self._ids[-1], client

    @property
    def newest(self):
        """The id of the last connection whose connect handler began."""
        return self._ids[-1]


class ManagementHome(Local):
    """The same node, asked over its management API by AWS's own client."""

    def __init__(self, message_bytes=limits.MESSAGE_BYTES):
        super().__init__(message_bytes)
        self._message_bytes = dict.fromkeys(APIS, message_bytes)

    async def __aenter__(self):
        await super().__aenter__()
        await self.node.running.listen(Settings(port=0, admin="off"))
        host, port = self.node.running.address
        endpoints = {api: f"http://{host}:{port}/{api}" for api in APIS}
        self.connections = ManagementApi(endpoints, message_bytes=self._message_bytes, region="us-east-1")
        return self

    async def __aexit__(self, *error):
        self.connections.shut()
        await super().__aexit__(*error)


IMPLEMENTATIONS = {"local": Local, "management API": ManagementHome}


@pytest.fixture(params=IMPLEMENTATIONS)
def home(request):
    return IMPLEMENTATIONS[request.param]


@pytest.fixture(autouse=True, scope="module")
def aws():
    """Somebody's credentials: a node asks nobody of its own machine for more. Its sockets are waited for by threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_REAL_GRACE", 0.001)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


def nobody(id):
    """What a fan-out to one says that is gone."""
    return FanOut(0, [id], {})


# Sending.


async def test_text_is_sent_as_text(home):
    async with home() as here:
        id, client = await here.connect()
        for text in ("", "hello", "é𝄞\0", "x" * 40_000, "y" * 131_072):
            assert await here.connections.send("first", id, text) is True
            assert await client.receive() == text


async def test_bytes_are_sent_as_bytes_and_not_over_the_management_api():
    async with Local() as here:
        id, client = await here.connect()
        for data in (b"", b"\0\xff", b"y" * 131_072):
            assert await here.connections.send("first", id, data) is True
            assert await client.receive() == data
    async with ManagementHome() as here:
        id, client = await here.connect()
        for sending in (here.connections.send("first", id, data), here.connections.fan_out("first", [id], data)):
            with pytest.raises(TypeError, match="API Gateway sends texts only; expected str, got bytes"):
                await sending
        await client.nothing()


async def test_what_was_sent_to_one_connection_arrives_in_order_and_nowhere_else(home):
    async with home() as here:
        (one, ann), (other, ben) = await here.connect(), await here.connect()
        for n in range(200):
            assert await here.connections.send("first", other if n % 3 else one, str(n))
        await here.connections.fan_out("first", [one, other], "end")
        for client, numbers in ((ann, range(0, 200, 3)), (ben, [n for n in range(200) if n % 3])):
            assert [await client.receive() for _ in numbers] == [str(n) for n in numbers]
            assert await client.receive() == "end"
            await client.nothing()


async def test_each_sender_keeps_its_own_order(home):
    async with home() as here:
        id, client = await here.connect()

        async def sender(name):
            for n in range(50):
                assert await here.connections.send("first", id, f"{name} {n}")
                await asyncio.sleep(0.001 * (n % 3))

        await asyncio.gather(*(sender(name) for name in "abc"))
        received = [await client.receive() for _ in range(150)]
        for name in "abc":
            assert [text for text in received if text[0] == name] == [f"{name} {n}" for n in range(50)]


async def test_a_connection_takes_what_is_sent_from_its_101_on_and_nothing_before(home):
    async with home() as here:
        connecting = asyncio.create_task(here.connect(query={"wait": "1"}))
        await asyncio.sleep(0.5)
        early = here.newest
        assert await here.connections.send("first", early, "too early") is False
        assert await here.connections.close("first", early, 1000, "") is False
        assert await here.connections.info("first", early) is None
        assert await here.connections.fan_out("first", [early], "too early") == nobody(early)
        id, client = await connecting
        assert id == early
        assert await here.connections.send("first", id, "now") is True
        assert await client.receive() == "now"


@pytest.mark.parametrize("leave", ["close", "vanish", "hang_up"])
async def test_a_connection_whose_client_left_is_gone(home, leave):
    async with home() as here:
        id, client = await here.connect()
        left = getattr(client, leave)()
        if left is not None:
            await left
        await client.closed()
        assert await here.connections.send("first", id, "x") is False
        assert await here.connections.close("first", id, 1000, "") is False
        assert await here.connections.info("first", id) is None
        assert await here.connections.fan_out("first", [id], "x") == nobody(id)


async def test_an_id_of_another_api_is_gone_and_its_connection_untouched(home):
    async with home() as here:
        id, client = await here.connect("second")
        assert await here.connections.send("first", id, "x") is False
        assert await here.connections.close("first", id, 1000, "") is False
        assert await here.connections.info("first", id) is None
        assert await here.connections.fan_out("first", [id], "x") == nobody(id)
        await client.nothing()
        assert await here.connections.send("second", id, "x") is True
        assert await client.receive() == "x"


async def test_an_api_that_is_nowhere_has_no_connections_and_over_the_management_api_no_address():
    async with Local() as here:
        id, _ = await here.connect()
        assert await here.connections.send("nothing", id, "x") is False
    async with ManagementHome() as here:
        id, _ = await here.connect()
        for operation in (here.connections.send("nothing", id, "x"), here.connections.fan_out("nothing", [id], "x")):
            with pytest.raises(ConfigurationError, match="'nothing' has no endpoint here; there are those of first, s"):
                await operation


@pytest.mark.parametrize("id", INVALID)
async def test_an_id_that_no_gateway_made_is_an_error(home, id):
    async with home() as here:
        for operation in (
            here.connections.send("first", id, "x"),
            here.connections.close("first", id, 1000, ""),
            here.connections.info("first", id),
        ):
            with pytest.raises(InvalidConnectionId):
                await operation
        there, client = await here.connect()
        done = await here.connections.fan_out("first", [id, there], "x")
        assert (done.sent, done.gone, type(done.failed[id])) == (1, [], InvalidConnectionId)
        assert await client.receive() == "x"


async def test_every_altered_id_is_an_error_and_reaches_nobody(home):
    async with home() as here:
        id, client = await here.connect()
        for position in range(20):
            altered = id[:position] + ("A" if id[position] != "A" else "B") + id[position + 1 :]
            with pytest.raises(InvalidConnectionId):
                await here.connections.send("first", altered, "x")
        await client.nothing()


# Limits.


@pytest.mark.parametrize("unit", ["x", "é"])
async def test_a_message_of_the_limit_is_sent_and_a_larger_one_is_an_error(home, unit):
    size = len(unit.encode())
    async with home(message_bytes=1000) as here:
        id, client = await here.connect()
        exact, over = unit * (1000 // size), unit * (1000 // size + 1)
        assert await here.connections.send("first", id, exact) is True
        assert await client.receive() == exact
        with pytest.raises(MessageTooLarge, match=r"bytes; the limit message_bytes is 1,000"):
            await here.connections.send("first", id, over)
        done = await here.connections.fan_out("first", [id], over)
        assert (done.sent, done.gone, type(done.failed[id])) == (0, [], MessageTooLarge)
        await client.nothing()


async def test_a_client_that_does_not_read_is_an_error_at_once_and_holds_up_nobody():
    async with Local() as here:
        (slow, client), (other, ben) = await here.connect(), await here.connect()
        client.stop_reading()
        sent = 0
        began = asyncio.get_running_loop().time()
        with pytest.raises(SlowConsumer):
            while True:
                assert await here.connections.send("first", slow, f"{sent:0100000}") is True
                await asyncio.sleep(0)
                sent += 1
        assert asyncio.get_running_loop().time() == began
        assert limits.OUTPUT_BYTES // 100_000 <= sent <= 2 * limits.OUTPUT_BYTES // 100_000
        done = await here.connections.fan_out("first", [slow, other], "x" * 100_000)
        assert (done.sent, done.gone, type(done.failed[slow])) == (1, [], SlowConsumer)
        assert len(await ben.receive()) == 100_000
        assert await here.connections.info("first", slow) is not None, "it is there, only slow"
        client.go_on_reading()
        assert [(await client.receive())[-5:] for _ in range(sent)] == [f"{n:05}" for n in range(sent)]
        await asyncio.sleep(0.1)
        assert await here.connections.send("first", slow, "again") is True
        assert await client.receive() == "again"


async def test_over_the_management_api_a_client_that_does_not_read_is_throttled_after_a_while():
    async with ManagementHome() as here:
        (slow, client), (other, ben) = await here.connect(), await here.connect()
        client.stop_reading()
        began = asyncio.get_running_loop().time()
        with pytest.raises(Throttled, match="The WebSocket client side buffer is full"):
            for _ in range(2 * limits.OUTPUT_BYTES // 100_000):
                assert await here.connections.send("first", slow, "x" * 100_000) is True
        assert 0.3 < asyncio.get_running_loop().time() - began < 1.5, "it was tried again, with pauses"
        began = asyncio.get_running_loop().time()
        done = await here.connections.fan_out("first", [slow, other], "x" * 100_000)
        assert (done.sent, done.gone, type(done.failed[slow])) == (1, [], Throttled)
        assert asyncio.get_running_loop().time() == began, "the broadcast waits, for all of them together"
        assert len(await ben.receive()) == 100_000


# Closing.


@pytest.mark.parametrize(
    ("kind", "said"), [(Local, (4001, "é enough")), (ManagementHome, (1000, "Connection Closed Normally"))]
)
async def test_closing_says_code_and_reason_behind_everything_that_was_sent_and_the_management_api_says_its_own(
    kind, said
):
    async with kind() as here:
        id, client = await here.connect()
        assert await here.connections.send("first", id, "before") is True
        assert await here.connections.close("first", id, 4001, "é enough") is True
        assert await here.connections.send("first", id, "after") is False
        assert await here.connections.close("first", id, 4002, "again") is False
        assert await here.connections.info("first", id) is None
        assert await client.receive() == "before"
        with pytest.raises(testing.Closed) as closed:
            await client.receive()
        assert (closed.value.code, closed.value.reason) == said


# Asking.


async def test_what_is_known_of_a_connection(home):
    async with home() as here:
        before = datetime.fromtimestamp(clock.now(), UTC)
        id, client = await here.connect(headers={"user-agent": "a test"}, source_ip="127.0.0.7")
        info = await here.connections.info("first", id)
        assert isinstance(info, ConnectionInfo)
        assert (info.source_ip, info.user_agent) == ("127.0.0.7", "a test")
        assert (info.connected_at.tzinfo, info.last_active_at.tzinfo) == (UTC, UTC)
        assert abs((info.connected_at - before).total_seconds()) < 0.1
        assert info.last_active_at >= info.connected_at
        await asyncio.sleep(60)
        await here.connections.send("first", id, "x")
        await asyncio.sleep(5)
        later = await here.connections.info("first", id)
        assert later.connected_at == info.connected_at
        assert (later.last_active_at - info.connected_at).total_seconds() == pytest.approx(60, abs=0.1)
        await client.send("x")
        await asyncio.sleep(5)
        latest = await here.connections.info("first", id)
        assert (latest.last_active_at - info.connected_at).total_seconds() == pytest.approx(65, abs=0.1)


async def test_a_client_that_does_not_say_what_it_is(home):
    async with home() as here:
        id, _ = await here.connect()
        assert (await here.connections.info("first", id)).user_agent is None


# Fanning out.


async def test_a_fan_out_tells_each_recipients_fate_and_keeps_their_order(home):
    async with home() as here:
        (one, ann), (other, ben), (gone, cat), (foreign, dan) = [
            await here.connect("second" if n == 3 else "first") for n in range(4)
        ]
        await cat.close()
        done = await here.connections.fan_out("first", [foreign, one, "bad", gone, other, one], "x")
        assert (done.sent, done.gone) == (3, [foreign, gone])
        assert {id: type(error) for id, error in done.failed.items()} == {"bad": InvalidConnectionId}
        assert [await ann.receive(), await ann.receive(), await ben.receive()] == ["x"] * 3
        for client in (ann, ben, dan):
            await client.nothing()


async def test_a_fan_out_to_nobody_is_nothing(home):
    async with home() as here:
        assert await here.connections.fan_out("first", [], "x") == FanOut(0, [], {})


async def test_a_fan_out_to_many(home):
    async with home() as here:
        clients = dict([await here.connect() for _ in range(300)])
        for text in ("one", "two"):
            done = await here.connections.fan_out("first", list(clients), text)
            assert done == FanOut(300, [], {})
        for client in clients.values():
            assert [await client.receive(), await client.receive()] == ["one", "two"]


# All of it, at random, beside a model.

people = st.integers(0, 3)
apis = st.sampled_from(APIS)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), apis, people, texts),
        st.tuples(st.just("fan_out"), apis, st.lists(people, max_size=4), texts),
        st.tuples(st.just("close"), apis, people),
        st.tuples(st.just("leave"), people, st.sampled_from(["close", "vanish"])),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.1, 1.0])),
    ),
    max_size=25,
)


class Model:
    """Who is there, and what each is to receive."""

    def __init__(self, here):
        self.here = here
        self.people = []

    async def arrive(self):
        for api in ("first", "first", "second", "second"):
            id, client = await self.here.connect(api)
            self.people.append({"api": api, "id": id, "client": client, "there": True, "stays": True, "inbox": []})

    def there(self, api, number):
        person = self.people[number]
        return person["there"] and person["api"] == api

    async def send(self, api, number, data):
        there = self.there(api, number)
        assert await self.here.connections.send(api, self.people[number]["id"], data) is there
        if there:
            self.people[number]["inbox"].append(data)

    async def fan_out(self, api, numbers, data):
        done = await self.here.connections.fan_out(api, [self.people[number]["id"] for number in numbers], data)
        there = [number for number in numbers if self.there(api, number)]
        assert done == FanOut(len(there), [self.people[n]["id"] for n in numbers if n not in there], {})
        for number in there:
            self.people[number]["inbox"].append(data)

    async def close(self, api, number):
        there = self.there(api, number)
        assert await self.here.connections.close(api, self.people[number]["id"], 4000, "enough") is there
        if there:
            self.people[number]["there"] = False

    async def leave(self, number, how):
        person = self.people[number]
        if how == "vanish" and person["there"]:
            person["stays"] = False  # what is on its way is lost
            person["client"].vanish()
        await asyncio.sleep(0.1)
        if how == "close":
            await person["client"].close()
        person["there"] = False

    async def wait(self, seconds):
        await asyncio.sleep(seconds)

    async def check(self):
        for person in self.people:
            expected, client = person["inbox"], person["client"]
            for data in expected if person["stays"] else []:
                assert await client.receive() == data
            info = await self.here.connections.info(person["api"], person["id"])
            assert (info is not None) is person["there"]
            if person["there"]:
                await client.nothing()


@settings(max_examples=60, deadline=None)
@given(steps=steps)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.timeout(120)  # AWS's client is slow
def test_any_mixture_means_what_the_model_says(implementation, steps):
    async def run():
        async with IMPLEMENTATIONS[implementation]() as here:
            model = Model(here)
            await model.arrive()
            for name, *arguments in steps:
                await getattr(model, name)(*arguments)
            await model.check()

    run_test(run, {})
