"""The runner itself: what it takes for a leak, for a complaint in the log, and for a wrong count."""

import json
from contextlib import closing

import pytest
from stress.field import Tally
from stress.node import Sample, complaints
from stress.run import MIB, Run, parse, scoreboard


@pytest.fixture
def run(tmp_path):
    with closing(Run(tmp_path, 1, 20)) as run:
        yield run


def sample(tasks=2, descriptors=29, documents=(), resident=50 * MIB):
    return Sample(tasks, descriptors, list(documents), 190_000, resident)


def test_what_is_as_before_is_no_leak_and_memory_may_grow_by_5_percent(run):
    run.compare(sample(), sample(), sample(resident=52.5 * MIB))
    assert not run.failed


def test_small_memory_may_grow_by_2_mib(run):
    run.compare(sample(), sample(resident=20 * MIB), sample(resident=22 * MIB))
    assert not run.failed


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (sample(tasks=3), "not as much as before: 3 tasks"),
        (sample(tasks=1), "not as much as before: 1 tasks"),
        (sample(descriptors=30), "not as much as before: 2 tasks, 30 descriptors"),
        (sample(documents=["A"]), "documents are left: ['A']"),
        (sample(resident=53 * MIB), "memory has grown by 3.0 MiB; 2.5 are allowed"),
    ],
)
def test_what_is_not_as_before_is_a_problem(run, after, problem):
    run.compare(sample(), sample(), after)
    assert len(run.problems) == 1
    assert run.problems[0].startswith(problem)
    assert run.failed


def test_a_wrong_count_fails_a_run_and_is_told(run):
    tally = run.field.tally("echo")
    tally.expect("replies", 5, 5)
    assert not run.failed
    tally.expect("replies", 5, 6)
    assert tally.problems == ["echo: replies: expected 5, seen 6"]
    assert run.failed
    assert scoreboard(run).splitlines()[1].split() == ["echo", "0", "10", "11"]


def test_more_in_one_place_does_not_make_up_for_less_in_another():
    tally = Tally("echo")
    tally.expect("replies", 5, 6)
    tally.expect("replies", 5, 4)
    assert (tally.expected, tally.seen, len(tally.problems)) == (10, 10, 2)


def logged(folder, *records):
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (folder / "stderr").write_text("".join(f"{line}\n" for line in lines))
    return complaints(folder)


RAISED = {
    "time": "t", "level": "ERROR", "logger": "trunkline.handlers",
    "message": "the handler of $default at program.py:9 raised; connection abc=, request def=",
    "traceback": 'Traceback (most recent call last):\n  File "program.py", line 1\nstress.program.OnPurposeError',
}  # fmt: skip


def test_what_a_node_says_of_errors_on_purpose_and_of_kills_is_no_complaint(tmp_path):
    crash = "connections that were open when the last run ended: 47; they get their DISCONNECT now"
    torn = "x/journal: the last record was not finished (7 bytes), as a crash leaves it; it is left out"
    assert logged(tmp_path, RAISED, RAISED | {"message": crash}, {"message": torn}) == []


@pytest.mark.parametrize(
    "record",
    [
        RAISED | {"traceback": "Traceback (most recent call last):\nKeyError: 'x'"},
        {"message": "Task exception was never retrieved"},
        {"message": "cannot write the journal of connections x: No space left on device"},
        "Traceback (most recent call last):",
    ],
)
def test_everything_else_is_one(tmp_path, record):
    assert len(logged(tmp_path, RAISED, record)) == 1


def test_seed_and_seconds_are_chosen_or_given(monkeypatch):
    monkeypatch.setenv("SECONDS", "30")
    assert parse(["--seed", "7"]).seed == 7
    assert parse([]).seed != parse([]).seed
    assert (parse([]).seconds, parse(["--seconds", "40"]).seconds) == (30, 40)
    monkeypatch.delenv("SECONDS")
    assert parse([]).seconds == 600


@pytest.mark.parametrize("seconds", ["0", "3601", "inf", "nan", "x"])
def test_a_run_is_bounded(seconds, capsys):
    with pytest.raises(SystemExit):
        parse(["--seconds", seconds])
    assert "--seconds" in capsys.readouterr().err
