"""The loop whose time jumps."""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import clock
from trunkline.testing import Deadlock, JumpingLoop


def run(coroutine):
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coroutine)


def test_two_hours_take_milliseconds():
    began = time.perf_counter()

    async def sleep():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(7200)
        return asyncio.get_running_loop().time() - before

    assert run(sleep()) == pytest.approx(7200)
    assert time.perf_counter() - began < 1


@given(st.lists(st.floats(0, 1e6), max_size=20))
def test_sleepers_wake_in_the_order_of_their_times(seconds):
    woken = []

    async def sleeper(delay):
        await asyncio.sleep(delay)
        woken.append(delay)

    async def sleep():
        before = asyncio.get_running_loop().time()
        await asyncio.gather(*map(sleeper, seconds))
        return asyncio.get_running_loop().time() - before

    assert run(sleep()) == pytest.approx(max(seconds, default=0), abs=2e-6)  # the clock's resolution
    assert sorted(woken) == sorted(seconds)
    assert all(later - earlier > -1e-6 for earlier, later in zip(woken, woken[1:], strict=False))


def test_timeouts_are_virtual():
    async def wait():
        async with asyncio.timeout(3600):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run(wait())


def test_time_does_not_pass_while_something_is_ready():
    async def turn():
        before = asyncio.get_running_loop().time()
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time() - before

    assert run(turn()) == 0


@pytest.mark.parametrize("how", ["to_thread", "default executor", "own executor"])
def test_time_stands_still_while_a_thread_works(how):
    async def work():
        loop = asyncio.get_running_loop()
        ticks = []
        loop.call_later(1000, ticks.append, 1)
        before = loop.time()
        if how == "to_thread":
            result = await asyncio.to_thread(threading.Event().wait, 0.05)
        elif how == "default executor":
            result = await loop.run_in_executor(None, threading.Event().wait, 0.05)
        else:
            with ThreadPoolExecutor(1) as pool:
                result = await loop.run_in_executor(pool, threading.Event().wait, 0.05)
        assert result is False
        assert (loop.time(), ticks) == (before, [])
        await asyncio.sleep(1001)
        assert ticks == [1], "and goes on afterwards"

    run(work())


def test_a_thread_that_fails_lets_time_go_on():
    async def work():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        await asyncio.sleep(1000)

    run(work())


def test_a_job_that_could_not_be_started_lets_time_go_on():
    async def work():
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            asyncio.get_running_loop().run_in_executor(pool, print)
        await asyncio.sleep(1000)

    run(work())


def test_stand_still_is_for_threads_that_wake_the_loop_themselves():
    async def work():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_later(1000, done.cancel)
        thread = threading.Timer(0.05, lambda: loop.call_soon_threadsafe(done.set_result, "woken"))
        with loop.stand_still():
            thread.start()
            assert await done == "woken"
        await asyncio.sleep(2000)

    run(work())


@pytest.mark.parametrize("in_between", [False, True])
def test_waiting_for_what_cannot_come_is_a_deadlock(in_between):
    async def wait():
        if in_between:
            await asyncio.sleep(10)
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="every Task waits, and nothing is scheduled that could wake one"):
        run(wait())


def test_real_sockets_work_and_virtual_time_waits_for_them():
    async def talk():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        before = loop.time()
        thread = threading.Timer(0.01, lambda: theirs.sendall(b"hello\n"))
        thread.start()
        assert await asyncio.wait_for(reader.readline(), 3600) == b"hello\n"
        assert loop.time() - before < 3600
        thread.join()
        writer.close()
        await writer.wait_closed()
        theirs.close()

    run(talk())


def test_without_a_timer_a_real_socket_is_waited_for():
    async def talk():
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        thread = threading.Timer(0.15, lambda: theirs.sendall(b"hello\n"))
        thread.start()
        assert await reader.readline() == b"hello\n"
        thread.join()
        writer.close()
        await writer.wait_closed()
        theirs.close()

    run(talk())


def test_a_timer_is_reached_although_a_real_socket_is_open_and_silent():
    async def wait():
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 3600)
        writer.close()
        await writer.wait_closed()
        theirs.close()

    run(wait())


def test_wall_time_is_the_loops_while_it_runs_and_the_systems_otherwise():
    async def sleep():
        before = clock.now()
        await asyncio.sleep(86_400)
        return before, clock.now()

    before, after = run(sleep())
    assert before == pytest.approx(time.time(), abs=60)
    assert after - before == pytest.approx(86_400)
    assert clock.now() == pytest.approx(time.time(), abs=60)


def test_wall_time_is_given_back_when_the_loop_fails():
    async def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail())
    assert clock.now() == pytest.approx(time.time(), abs=60)


def test_a_loop_in_a_loop_has_a_time_of_its_own():
    async def outer():
        await asyncio.sleep(1000)
        before = clock.now()
        await asyncio.to_thread(run, asyncio.sleep(5000))
        assert clock.now() == before

    run(outer())


async def test_time_stands_still_while_a_thread_of_anyio_works():
    import time

    import anyio

    began = asyncio.get_running_loop().time()
    await asyncio.wait({asyncio.ensure_future(anyio.to_thread.run_sync(time.sleep, 0.05))}, timeout=30)
    assert asyncio.get_running_loop().time() == began
