"""Wall time, and how it is replaced."""

import asyncio
import time

import pytest

from trunkline import clock


def test_the_clock_is_the_systems():
    before = time.time()
    now, now_ms = clock.now(), clock.now_ms()
    after = time.time()
    assert before <= now <= after
    assert int(before * 1000) <= now_ms <= after * 1000
    assert type(now_ms) is int


def test_its_source_can_be_replaced_and_given_back():
    previous = clock.set_source(lambda: 1.9999)
    try:
        assert (clock.now(), clock.now_ms()) == (1.9999, 1999)
    finally:
        ours = clock.set_source(previous)
    assert ours() == 1.9999
    assert clock.set_source() is previous
    assert clock.now() == pytest.approx(time.time(), abs=60)


async def test_it_follows_virtual_time():
    before = clock.now()
    await asyncio.sleep(100_000)
    assert clock.now() - before == pytest.approx(100_000, abs=1)
