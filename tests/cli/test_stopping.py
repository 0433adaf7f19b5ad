"""How a node is stopped: in order, at once, and before it was open."""

import asyncio
import signal
import time

import pytest
import websockets
from websockets.sync.client import connect

SLOW = """
    import asyncio
    from trunkline import websocket

    socket = websocket("socket")

    @socket.on("message")
    async def slow(ctx):
        print("begun", flush=True)
        await asyncio.sleep(float(ctx.req.data))
        print("ended", flush=True)

    @socket.on("disconnect")
    async def gone(ctx):
        print("gone", flush=True)
"""
STUCK = """
    from trunkline import websocket

    socket = websocket("socket")

    @socket.on("message")
    async def stuck(ctx):
        print("begun", flush=True)
        while True:
            pass
"""
STOPPED = "trunkline: stopped at once; handlers and lifespans that had not ended were cut off\n"
LOOPS = {"uvloop": {}, "asyncio": {"TRUNKLINE_LOOP": "asyncio"}}


@pytest.fixture(params=LOOPS)
def loop(request):
    """The environment that chooses an event loop."""
    return LOOPS[request.param]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_with_exit_code_0_and_clients_with_1001(run_trunkline, write, loop, number):
    running = run_trunkline(write("slow.py", SLOW), env=loop)
    with connect(running.url("socket")) as client:
        running.process.send_signal(number)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd.code == 1001
    assert running.ended() == (0, "gone\n", "")


def test_sigterm_lets_a_running_handler_finish(run_trunkline, write):
    running = run_trunkline(write("slow.py", SLOW))
    with connect(running.url("socket")) as client:
        client.send("1.5")
        running.says("begun")
        assert running.stop() == (0, "ended\ngone\n", "")


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]], ids=["SIGINT", "two SIGTERM"])
def test_who_insists_waits_for_no_handler(run_trunkline, write, loop, numbers):
    running = run_trunkline(write("slow.py", SLOW), env=loop)
    with connect(running.url("socket")) as client:
        client.send("20")
        running.says("begun")
        for number in numbers:
            began = time.monotonic()
            running.process.send_signal(number)
            time.sleep(0.1)
        code, out, err = running.ended()
    assert time.monotonic() - began < 1.5  # one second, and what a busy machine needs
    assert (code, out) == (0, "")
    assert err == STOPPED


def test_a_client_that_does_not_answer_a_close_still_gets_its_disconnect_at_once(run_trunkline, write):
    running = run_trunkline(write("slow.py", SLOW))

    async def hold_still():
        client = await websockets.connect(running.url("socket"))
        client.transport.pause_reading()
        began = time.monotonic()
        assert await asyncio.to_thread(running.stop, signal.SIGINT) == (0, "gone\n", "")
        assert time.monotonic() - began < 1.5
        client.transport.abort()

    asyncio.run(hold_still())


def test_a_handler_that_never_gives_way_does_not_stop_the_end(run_trunkline, write, loop):
    running = run_trunkline(write("stuck.py", STUCK), env=loop)
    with connect(running.url("socket"), close_timeout=0) as client:
        client.send("go")
        running.says("begun")
        code, out, err = running.stop(signal.SIGINT)
        assert (code, out) == (0, "")
        assert err.endswith(STOPPED)  # after the log's word that the loop is held up


def test_the_end_in_order_has_the_seconds_of_drain_and_then_is_cut_off(run_trunkline, write):
    running = run_trunkline(write("slow.py", SLOW), "--drain", "0.5", "--store", "memory:")
    with connect(running.url("socket")) as client:
        client.send("20")
        running.says("begun")
        began = time.monotonic()
        code, out, err = running.stop()
        assert (code, out) == (0, "")
        assert err.endswith("the time to drain is over; connections that have not had their DISCONNECT: 1\n")
        assert err.count("\n") == 1
        assert 0.4 <= time.monotonic() - began < 1.5


def test_what_was_printed_before_the_cut_is_not_lost(run_trunkline, write):
    running = run_trunkline(write("stuck.py", STUCK.replace("while", 'print("last words")\n        while')))
    with connect(running.url("socket"), close_timeout=0) as client:
        client.send("go")
        running.says("begun")
        assert running.stop(signal.SIGINT)[:2] == (0, "last words\n")


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_while_a_program_is_loaded_a_signal_ends_it_there(run_trunkline, write, number, expected):
    program = write("slow_to_load.py", 'import time\n\nprint("loading", flush=True)\ntime.sleep(30)\n')
    assert run_trunkline(program, until="loading").stop(number) == (expected, "", "")


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_while_a_lifespan_begins_a_signal_ends_it_there_and_it_is_left(run_trunkline, write, loop, number, expected):
    program = write(
        "slow_to_begin.py",
        """
        import asyncio
        import trunkline

        socket = trunkline.websocket("socket")

        @trunkline.lifespan
        async def life():
            try:
                print("beginning", flush=True)
                await asyncio.sleep(30)
                yield
            finally:
                print("left")
        """,
    )
    assert run_trunkline(program, until="beginning", env=loop).stop(number) == (expected, "left\n", "")
