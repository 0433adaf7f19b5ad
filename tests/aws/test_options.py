"""What may be chosen for AWS, and what it would refuse."""

import pytest

from trunkline.aws.options import RETENTION_DAYS, Options
from trunkline.errors import ConfigurationError


@pytest.mark.parametrize(
    "given", [{"memory_mb": 128}, {"memory_mb": 10_240}, *({"retention_days": n} for n in RETENTION_DAYS)]
)
def test_what_aws_takes_is_taken(given):
    Options(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"memory_mb": 127}, "--memory is 127; expected 128 to 10240 MB"),
        ({"memory_mb": 10_241}, "--memory is 10241; expected 128 to 10240 MB"),
        ({"retention_days": 2}, "--retention is 2; expected one of 1, 3, 5, 7, 14, 30, "),
    ],
)
def test_what_aws_would_refuse_is_refused(given, told):
    with pytest.raises(ConfigurationError) as caught:
        Options(**given)
    assert str(caught.value).startswith(told)
