"""The queue in front of a socket, over a socket in memory whose client reads as it likes."""

import asyncio

import pytest

from trunkline import limits
from trunkline.connections.local import LocalConnections
from trunkline.gateway.output import Output
from trunkline.gateway.server import Gateway
from trunkline.model.ids import ConnectionIds
from trunkline.testing.transport import MemoryTransport
from trunkline.wire.frames import OP_PONG, encode_frame

FULL = b"f" * 70_000  # more than a socket in memory takes without pausing


class Socket:
    """An output, and what its client got: one item for each write."""

    def __init__(self):
        ids = ConnectionIds(b"k" * 32)
        self.gateway = Gateway([], ids, LocalConnections(ids.origin))
        self.writes = []
        self.take = self.writes.append
        loop = asyncio.get_running_loop()
        self.transport = MemoryTransport(loop, asyncio.BufferedProtocol(), lambda data: self.take(data), lambda: None)
        self.output = Output(self.gateway, self.transport)
        self.transport.set_protocol(self.output)

    def put(self, *frames):
        for frame in frames:
            self.output._put(frame)

    def stall(self):
        """The client reads no more, and the socket is full."""
        self.transport.client_reads(False)
        self.put(FULL)
        assert self.output._writing_paused

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.gateway.close()


async def test_what_one_turn_puts_there_is_one_write():
    async with Socket() as socket:
        socket.put(b"a", b"b", b"c")
        assert socket.writes == []
        await asyncio.sleep(0)
        assert socket.writes == [b"abc"]
        assert socket.output._out_bytes == 0
        socket.put(b"d")
        await asyncio.sleep(0)
        assert socket.writes == [b"abc", b"d"]


async def test_two_outputs_of_one_turn_are_flushed_by_one_call():
    async with Socket() as one, Socket() as other:
        other.output._gateway = one.gateway
        one.put(b"a")
        other.put(b"b")
        one.put(b"c")
        await asyncio.sleep(0)
        assert (one.writes, other.writes) == ([b"ac"], [b"b"])


async def test_a_flush_of_nothing_writes_nothing():
    async with Socket() as socket:
        socket.output.flush()
        socket.put(b"a")
        socket.output.flush()
        await asyncio.sleep(0)
        assert socket.writes == [b"a"]


async def test_past_64_kib_a_turn_is_written_early():
    async with Socket() as socket:
        half = b"x" * (limits.WRITE_BYTES // 2)
        socket.put(half, half)
        assert socket.writes == []
        socket.put(b"y", b"z")
        assert [len(data) for data in socket.writes] == [limits.WRITE_BYTES + 1]
        await asyncio.sleep(0)
        assert socket.writes[1:] == [b"z"]


async def test_a_client_that_does_not_read_gets_everything_in_order_when_it_reads():
    async with Socket() as socket:
        socket.stall()
        socket.put(b"a", b"b")
        await asyncio.sleep(0)
        assert (socket.writes, socket.output._out_bytes) == ([], 2)
        socket.transport.client_reads(True)
        assert socket.writes == [FULL, b"ab"]
        assert socket.output._out_bytes == 0


async def test_a_client_that_reads_a_little_gets_a_little():
    async with Socket() as socket:
        socket.stall()
        first, second = b"a" * 70_000, b"b" * 70_000
        socket.put(first, second, second, b"c")

        def take(data):
            socket.writes.append(data)
            if data == first:
                socket.transport.client_reads(False)

        socket.take = take
        socket.output._put_pong(b"late")
        socket.transport.client_reads(True)
        assert socket.writes == [FULL, first]
        assert socket.output._out_bytes == len(second) + 1, "what is left is counted"
        socket.transport.client_reads(True)
        assert socket.writes == [FULL, first, second, second + b"c", encode_frame(OP_PONG, b"late")]


async def test_while_the_socket_is_full_only_the_latest_ping_is_answered():
    async with Socket() as socket:
        socket.output._put_pong(b"1")
        socket.output._put_pong(b"2")
        await asyncio.sleep(0)
        assert socket.writes == [encode_frame(OP_PONG, b"1") + encode_frame(OP_PONG, b"2")]
        socket.stall()
        socket.output._put_pong(b"3")
        socket.output._put_pong(b"4")
        assert socket.output._out_bytes == 0, "a flood of pings costs nothing"
        socket.transport.client_reads(True)
        assert socket.writes[1:] == [FULL, encode_frame(OP_PONG, b"4")]
        socket.transport.client_reads(True)
        assert len(socket.writes) == 3


async def test_reading_again_ends_the_time_in_which_the_queue_was_full():
    async with Socket() as socket:
        socket.stall()
        socket.output._full_since = 5.0
        socket.transport.client_reads(True)
        assert socket.output._full_since == 0.0


@pytest.mark.parametrize("ending", ["reads", "is gone"])
async def test_who_waits_for_the_socket_goes_on_when_it_takes_or_is_gone(ending):
    async with Socket() as socket:
        socket.stall()
        socket.put(b"a")
        waiting = asyncio.create_task(socket.output._until_writable())
        await asyncio.sleep(1)
        assert not waiting.done()
        if ending == "reads":
            socket.transport.client_reads(True)
        else:
            socket.output._drop_output()
            assert socket.output._out_bytes == 0
        await waiting
        socket.output._drop_output()  # nobody waits any more
        socket.transport.client_reads(True)
        assert socket.writes == ([FULL, b"a"] if ending == "reads" else [FULL])


async def test_who_was_cancelled_while_waiting_is_not_waited_for():
    async with Socket() as socket:
        socket.stall()
        waiting = asyncio.create_task(socket.output._until_writable())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        socket.transport.client_reads(True)
        assert socket.writes == [FULL]


async def test_many_outputs_are_flushed_over_turns_in_the_order_in_which_they_were_touched():
    async with Socket() as one:
        flushed, turns = [], []

        class Recorder:
            def __init__(self, number):
                self.number = number

            def flush(self):
                flushed.append(self.number)
                return True

        for number in range(10_000):
            one.gateway.touch(Recorder(number))
        while len(flushed) < 10_000:
            turns.append(len(flushed))
            await asyncio.sleep(0)
        sizes = [after - before for before, after in zip(turns, [*turns[1:], len(flushed)], strict=True)]
        assert flushed == list(range(10_000))
        assert max(sizes) <= 10_000 // 64 + 1, "no turn is long"
        assert min(sizes[1:-1]) >= limits.WRITES_PER_TURN, "and none is wasted"
        one.put(b"a")
        await asyncio.sleep(0)
        assert one.writes == [b"a"]
