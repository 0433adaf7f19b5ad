"""A lock that one process has: others wait outside, its death opens the door."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from trunkline.gateway import lock as module
from trunkline.gateway.lock import ProcessLock

# Takes the lock, forks a child that outlives it, says so, and waits to be killed.
HOLDER = """
import os, sys, time
from pathlib import Path
from trunkline.gateway.lock import ProcessLock

assert ProcessLock(Path(sys.argv[1])).take()
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def holder(file):
    """Another process that has the lock, and a child of it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, file], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout.readline() == "taken\n"
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def test_one_has_it_until_it_is_released(file):
    one, other = ProcessLock(file), ProcessLock(file)
    assert one.take()
    assert not other.take()
    other.release()
    assert not other.take(), "only who has it can release it"
    one.release()
    assert other.take()
    other.release()


def test_one_that_was_refused_does_not_release_it(file, holder):
    for _ in range(2):
        lock = ProcessLock(file)
        assert not lock.take()
        lock.release()


def test_it_is_the_same_by_every_name(file, tmp_path):
    (tmp_path / "link").symlink_to(file)
    one, other = ProcessLock(file), ProcessLock(tmp_path / "link")
    assert one.take()
    assert not other.take()
    one.release()


def test_the_death_of_a_process_releases_it_though_a_child_lives_on(file, holder):
    lock = ProcessLock(file)
    assert not lock.take()
    holder.kill()
    holder.wait()
    assert lock.take()
    lock.release()


def test_a_file_that_cannot_be_had_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError):
        ProcessLock(tmp_path).take()


def test_a_file_that_cannot_be_locked_is_an_error_and_leaves_nothing_open(file, monkeypatch):
    import fcntl

    def no_locks(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", no_locks)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No locks available"):
        ProcessLock(file).take()
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_posix_locks_it_keeps_out_its_own_process(file, monkeypatch):
    monkeypatch.setattr(module.os, "name", "nt")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    one = ProcessLock(file)
    try:
        assert one.take()
        assert not ProcessLock(file).take()
    finally:
        monkeypatch.undo()
    one.release()
