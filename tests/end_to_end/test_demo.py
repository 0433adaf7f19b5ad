"""`make demo`, in the checkout that is being tested."""

import socket
import urllib.request
from pathlib import Path

import pytest

import trunkline

ROOT = Path(__file__).parents[2]


def test_it_serves_the_page_at_the_url_that_it_prints(run_trunkline):
    running = run_trunkline(command=["scripts/demo", "--port", "0", "--store", "memory:"], cwd=ROOT)
    with urllib.request.urlopen(running.url("page"), timeout=5) as page:
        assert b"<title>Trunkline chat</title>" in page.read()
    assert len([url for url in running.urls if url.endswith(("/socket", "/rooms"))]) == 2


def test_what_it_runs_is_the_source_that_is_there():
    assert Path(trunkline.__file__).parent == ROOT / "src" / "trunkline"


def test_make_passes_arguments_on_and_leaves_nothing_running(run_trunkline):
    running = run_trunkline(command=["make", "demo", "ARGS=--port 0 --store memory: --admin off"], cwd=ROOT)
    assert len([url for url in running.urls if url.startswith("http:")]) == 1
    running.stop()  # as if `kill` was typed; make passes it on
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port), timeout=5)
