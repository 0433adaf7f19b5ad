"""Tables as the parameters of CreateTable."""

import pytest

from trunkline.errors import ConfigurationError

KEYS = "AttributeDefinitions: [{AttributeName: a, AttributeType: S}], KeySchema: [{AttributeName: a, KeyType: HASH}]"


def table(more="", keys=KEYS):
    return f"Resources:\n  T: {{Type: AWS::DynamoDB::Table, Properties: {{{keys}{more}}}}}\n"


GLOBAL = ", GlobalSecondaryIndexes: [{IndexName: i, KeySchema: [{AttributeName: b, KeyType: HASH}], Projection: {ProjectionType: ALL}%s}]"
UNITS = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 3}
PROVISIONED = ", ProvisionedThroughput: {ReadCapacityUnits: 2, WriteCapacityUnits: 3}"


def test_a_table_without_throughput_is_on_demand(app):
    create = app(table()).tables[0].create
    assert (create["BillingMode"], "ProvisionedThroughput" in create) == ("PAY_PER_REQUEST", False)


def test_on_demand_beats_a_throughput_that_is_given_too(app):
    more = PROVISIONED + ", BillingMode: PAY_PER_REQUEST" + GLOBAL % PROVISIONED
    create = app(table(more)).tables[0].create
    assert "ProvisionedThroughput" not in create
    assert "ProvisionedThroughput" not in create["GlobalSecondaryIndexes"][0]


@pytest.mark.parametrize(
    ("own", "units"), [("", UNITS), (PROVISIONED.replace("2", "9"), {**UNITS, "ReadCapacityUnits": 9})]
)
def test_an_index_of_a_provisioned_table_has_its_own_throughput_or_the_tables(app, own, units):
    create = app(table(PROVISIONED + GLOBAL % own)).tables[0].create
    assert create["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"] == units


def test_a_local_index_has_no_throughput(app):
    create = app(table(PROVISIONED + (GLOBAL % "").replace("Global", "Local"))).tables[0].create
    assert create["LocalSecondaryIndexes"][0].keys() == {"IndexName", "KeySchema", "Projection"}


def test_a_stream_is_enabled_by_its_view_type(app):
    create = app(table(", StreamSpecification: {StreamViewType: NEW_IMAGE}")).tables[0].create
    assert create["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}


@pytest.mark.parametrize(("enabled", "attribute"), [("true", "until"), ("'true'", "until"), ("false", None)])
def test_items_end_by_their_attribute_where_that_is_enabled(app, enabled, attribute):
    more = f", TimeToLiveSpecification: {{AttributeName: until, Enabled: {enabled}}}"
    assert app(table(more)).tables[0].ttl_attribute == attribute


def test_what_only_aws_does_is_left_out(app):
    more = ", Tags: [], SSESpecification: {SSEEnabled: true}, PointInTimeRecoverySpecification: {}"
    create = app(table(more)).tables[0].create
    assert create.keys() == {"TableName", "AttributeDefinitions", "KeySchema", "BillingMode"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table(keys="TableName: x"), "yaml:2: AWS::DynamoDB::Table T: AttributeDefinitions is missing; expected a list"),
        (table(keys=KEYS.replace("[{AttributeName: a, AttributeType: S}]", "[x]")), "AttributeDefinitions holds what is no mapping"),
        (table(", ProvisionedThroughput: {ReadCapacityUnits: x}"), "ReadCapacityUnits is 'x'; expected a number"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_made_is_an_error_with_its_line(app, text, message):
    with pytest.raises(ConfigurationError, match=message):
        app(text)
