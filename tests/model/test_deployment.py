"""What a template says, as data."""

import pytest

from trunkline.model.deployment import Warned, is_template
from trunkline.model.functions import FunctionDefinition
from trunkline.model.tables import TableDefinition


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_the_arn_of_a_function_names_partition_region_and_account(region, partition):
    function = FunctionDefinition("send", "Send", "python3.12", "app.handler")
    assert function.arn(region, "123456789012") == f"arn:{partition}:lambda:{region}:123456789012:function:send"


def test_a_warning_begins_with_its_place():
    assert str(Warned("template.yaml:3", "not done here")) == "template.yaml:3: not done here"


def test_a_table_is_data():
    table = TableDefinition("chat-Connections", "Connections", {"BillingMode": "PAY_PER_REQUEST"})
    assert (table.ttl_attribute, table.where) == (None, "")


@pytest.mark.parametrize(
    ("file", "is_one"),
    [
        ("template.yaml", True),
        ("a/b.yml", True),
        ("x.json", True),
        ("x.template", True),
        ("chat.py", False),
        ("a.b", False),
    ],
)
def test_a_template_is_told_by_its_suffix(file, is_one):
    assert is_template(file) is is_one
