"""The table of a connection's life, written a second time: from what a state is left, and to where."""

import itertools

import pytest

from trunkline.gateway.lifecycle import State, Trigger, after

LEGAL = {
    ("CONNECTING", "ACCEPT"): "OPEN",
    ("CONNECTING", "REFUSE"): "REFUSED",
    ("CONNECTING", "LOST"): "ABANDONED",
    ("ABANDONED", "ACCEPT"): "GONE",
    ("ABANDONED", "REFUSE"): "REFUSED",
    ("REFUSED", "LOST"): "REFUSED",
    ("OPEN", "PEER_CLOSE"): "DRAINING",
    ("OPEN", "CLOSE_SENT"): "CLOSING",
    ("OPEN", "LOST"): "GONE",
    ("DRAINING", "CLOSE_SENT"): "CLOSING",
    ("OPEN", "DRAIN"): "DRAINING",
    ("DRAINING", "PEER_CLOSE"): "DRAINING",
    ("DRAINING", "LOST"): "GONE",
    ("CLOSING", "PEER_CLOSE"): "CLOSING",
    ("CLOSING", "LOST"): "GONE",
}
PAIRS = [(state.name, trigger.name) for state, trigger in itertools.product(State, Trigger)]


@pytest.mark.parametrize(("state", "trigger"), LEGAL)
def test_a_transition_of_the_table(state, trigger):
    assert after(State[state], Trigger[trigger]) is State[LEGAL[state, trigger]]


@pytest.mark.parametrize(("state", "trigger"), [pair for pair in PAIRS if pair not in LEGAL])
def test_every_other_transition_is_a_bug_that_says_which(state, trigger):
    with pytest.raises(RuntimeError, match=f"a connection that is {state} cannot see {trigger}"):
        after(State[state], Trigger[trigger])


def test_every_state_is_reached():
    assert {"CONNECTING", *LEGAL.values()} == {state.name for state in State}


def test_nothing_leads_back_from_the_end():
    assert not any(state == "GONE" for state, _ in LEGAL)
    assert {LEGAL[pair] for pair in LEGAL if pair[0] == "REFUSED"} == {"REFUSED"}
