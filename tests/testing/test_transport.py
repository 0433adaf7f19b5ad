"""The socket without a network, with a protocol that keeps what it is told."""

import asyncio

import pytest

from trunkline.testing.transport import MemoryTransport


class Kept(asyncio.BufferedProtocol):
    """A server's protocol that reads at most 4 bytes at a time."""

    def __init__(self, *, half_closes=False):
        self.half_closes = half_closes
        self.buffer = bytearray(4)
        self.told = []

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.told.append(bytes(self.buffer[:nbytes]))

    def eof_received(self):
        self.told.append("eof")
        return self.half_closes

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def connection_lost(self, exc):
        self.told.append(("lost", exc))


class Ends:
    def __init__(self, **how):
        self.server = Kept(**how)
        self.taken = []
        self.transport = MemoryTransport(
            asyncio.get_running_loop(), self.server, self.taken.append, lambda: self.taken.append("ended"), "10.0.0.1"
        )


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def ends():
    return Ends


async def test_the_protocol_is_told_who_is_there(ends):
    transport = ends().transport
    assert transport.get_extra_info("peername")[0] == "10.0.0.1"
    assert transport.get_extra_info("sockname") == ("127.0.0.1", 8000)
    assert transport.can_write_eof()


async def test_bytes_arrive_through_the_buffer_in_pieces_and_never_at_once(ends):
    both = ends()
    both.transport.arrive(b"hello ")
    both.transport.arrive(b"world")
    assert both.server.told == []
    await turns()
    assert both.server.told == [b"hell", b"o wo", b"rld"]


async def test_while_reading_is_paused_nothing_arrives(ends):
    both = ends()
    both.transport.arrive(b"abcdef")
    both.transport.pause_reading()
    await turns()
    assert both.server.told == []
    both.transport.resume_reading()
    await turns()
    assert both.server.told == [b"abcd", b"ef"]
    both.transport.resume_reading()


async def test_what_is_written_is_taken_at_once_by_a_client_that_reads(ends):
    both = ends()
    both.transport.write(memoryview(b"hello"))
    assert both.taken == [b"hello"]
    assert both.transport.get_write_buffer_size() == 0


async def test_writing_is_paused_above_64_kib_and_resumed_once(ends):
    both = ends()
    both.transport.client_reads(False)
    both.transport.write(b"x" * 65_536)
    assert both.server.told == []
    both.transport.write(b"y")
    both.transport.write(b"z")
    assert both.server.told == ["pause"]
    assert both.transport.get_write_buffer_size() == 65_538
    both.transport.client_reads(True)
    assert both.taken == [b"x" * 65_536 + b"yz"]
    both.transport.client_reads(True)
    assert both.server.told == ["pause", "resume"]


async def test_close_is_behind_what_was_written(ends):
    both = ends()
    both.transport.client_reads(False)
    both.transport.write(b"last words")
    both.transport.close()
    both.transport.close()
    await turns()
    assert both.transport.is_closing()
    assert both.server.told == []
    both.transport.client_reads(True)
    await turns()
    assert both.taken == [b"last words", "ended"]
    assert both.server.told == [("lost", None)]


async def test_after_the_end_nothing_arrives_and_nothing_is_taken(ends):
    both = ends()
    both.transport.arrive(b"too late")
    both.transport.close()
    both.transport.arrive(b"later still")
    await turns()
    both.transport.write(b"x")
    both.transport.abort()
    both.transport.client_leaves()
    await turns()
    assert both.server.told == [("lost", None)]
    assert both.taken == ["ended"]


async def test_abort_drops_what_was_not_taken(ends):
    both = ends()
    both.transport.client_reads(False)
    both.transport.write(b"x")
    both.transport.abort()
    both.transport.abort()
    both.transport.client_reads(True)
    await turns()
    assert both.taken == ["ended"]


@pytest.mark.parametrize("half_closes", [False, True])
async def test_a_client_that_leaves_is_an_end_unless_the_protocol_keeps_its_half(ends, half_closes):
    both = ends(half_closes=half_closes)
    both.transport.client_leaves()
    await turns()
    assert both.server.told == (["eof"] if half_closes else ["eof", ("lost", None)])
    assert both.transport.is_closing() is not half_closes


async def test_a_broken_socket_has_no_eof_and_its_error(ends):
    both = ends()
    error = ConnectionResetError()
    both.transport.client_leaves(error)
    await turns()
    assert both.server.told == [("lost", error)]


async def test_another_protocol_gets_what_arrives_from_then_on(ends):
    both, other = ends(), Kept()
    both.transport.arrive(b"ab")
    await turns()
    both.transport.set_protocol(other)
    assert both.transport.get_protocol() is other
    both.transport.arrive(b"cd")
    both.transport.write_eof()
    await turns()
    assert (both.server.told, other.told) == ([b"ab"], [b"cd"])
