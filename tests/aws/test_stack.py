"""What a stack is called."""

import pytest

from trunkline.aws.stack import check_name, default_name
from trunkline.errors import ConfigurationError


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("chat.py", "trunkline-chat"),
        ("rooms/live_scores.py", "trunkline-live-scores"),
        ("rooms.chat", "trunkline-chat"),
        ("_a__b_.py", "trunkline-a-b"),
    ],
)
def test_a_stack_is_called_as_its_program(program, name):
    assert check_name(default_name(program)) == name


@pytest.mark.parametrize("name", ["", "1st", "a_b", "a b", "ä", "x" * 129, "a\n"])
def test_what_cloudformation_does_not_take_is_no_name(name):
    with pytest.raises(ConfigurationError, match="expected a letter, then letters, digits and '-'"):
        check_name(name)
