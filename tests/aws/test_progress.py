"""CloudFormation's events: what is going on, what failed first, and what is worth a line."""

from datetime import UTC, datetime

from trunkline.aws.progress import Event, Operation, since

STACK = "AWS::CloudFormation::Stack"


def events(*told):
    """The oldest first: (logical id, status) or (logical id, status, reason); "stack" is the stack itself."""
    return [
        Event(
            str(number), datetime(2026, 3, 1, tzinfo=UTC), name, STACK if name == "stack" else "AWS::X::Y", status,
            *reason, is_stack=name == "stack",
        )
        for number, (name, status, *reason) in enumerate(told)
    ]  # fmt: skip


def of(*told):
    """An operation that has seen all of them."""
    operation = Operation()
    operation.take(events(*told))
    return operation


def test_an_operation_begins_with_what_somebody_asked_for_last():
    found = events(
        ("stack", "CREATE_IN_PROGRESS"), ("a", "CREATE_COMPLETE"), ("stack", "CREATE_COMPLETE"),
        ("stack", "UPDATE_IN_PROGRESS"), ("a", "UPDATE_IN_PROGRESS"), ("stack", "UPDATE_ROLLBACK_IN_PROGRESS"),
    )  # fmt: skip
    assert [event.id for event in since(found[::-1])] == ["3", "4", "5"]


def test_an_operation_is_what_comes_behind_the_last_event_that_is_known():
    found = events(("stack", "CREATE_COMPLETE"), ("stack", "UPDATE_IN_PROGRESS"), ("a", "UPDATE_IN_PROGRESS"))
    assert [event.id for event in since(found[::-1], "0")] == ["1", "2"]
    assert since(found[::-1], "2") == []


def test_pages_behind_the_beginning_are_not_asked_for():
    def pages():
        yield from events(("a", "CREATE_COMPLETE"), ("stack", "CREATE_IN_PROGRESS"))
        raise AssertionError("asked for more")

    assert len(since(pages())) == 2


def test_what_is_worked_at_is_moving_until_it_is_done():
    operation = of(("stack", "CREATE_IN_PROGRESS"), ("a", "CREATE_IN_PROGRESS"), ("b", "CREATE_IN_PROGRESS"))
    assert (operation.is_begun, list(operation.moving), operation.done) == (True, ["a", "b"], set())
    operation.take(events(*[("stack", "CREATE_IN_PROGRESS")] * 3, ("a", "CREATE_COMPLETE")))
    assert (list(operation.moving), operation.done) == (["b"], {"a"})


def test_each_event_is_told_once():
    operation, found = Operation(), events(("stack", "CREATE_IN_PROGRESS"), ("a", "CREATE_COMPLETE"))
    assert [event.logical_id for event in operation.take(found)] == ["a"]
    assert operation.take(found) == []


def test_what_failed_first_is_the_reason_not_what_was_broken_off_because_of_it():
    operation = of(
        ("a", "CREATE_FAILED", "Resource creation cancelled"), ("b", "CREATE_FAILED", "no room"),
        ("c", "CREATE_FAILED", "no air"), ("d", "CREATE_FAILED", "Resource creation cancelled"),
    )  # fmt: skip
    assert (operation.failed.logical_id, operation.failed.reason) == ("b", "no room")


def test_a_reason_that_speaks_of_something_cancelled_is_a_reason():
    operation = of(("a", "CREATE_FAILED", "The subscription was cancelled"), ("b", "CREATE_FAILED", "no room"))
    assert operation.failed.logical_id == "a"


def test_if_all_were_only_broken_off_the_first_of_them_is_told():
    operation = of(*[(name, "UPDATE_FAILED", "Resource update cancelled") for name in "ab"])
    assert operation.failed.logical_id == "a"


def test_what_fails_while_it_is_taken_back_is_not_why_it_failed():
    operation = of(
        ("a", "CREATE_FAILED", "no room"), ("stack", "ROLLBACK_IN_PROGRESS", "because of [a]"),
        ("b", "DELETE_FAILED", "in use"), ("stack", "ROLLBACK_FAILED"),
    )  # fmt: skip
    assert operation.failed.logical_id == "a"
    assert (operation.is_rolling_back, operation.reason) == (True, "because of [a]")


def test_what_is_broken_off_is_not_told_and_the_rollback_is_once():
    told = Operation().take(
        events(
            ("a", "CREATE_FAILED", "no room"), ("b", "CREATE_FAILED", "Resource creation cancelled"),
            ("stack", "ROLLBACK_IN_PROGRESS"), ("a", "DELETE_COMPLETE"), ("stack", "ROLLBACK_COMPLETE"),
        )
    )  # fmt: skip
    assert [(event.logical_id, event.status) for event in told] == [
        ("a", "CREATE_FAILED"), ("stack", "ROLLBACK_IN_PROGRESS"), ("a", "DELETE_COMPLETE"),
    ]  # fmt: skip


def test_what_is_cleared_away_after_an_update_is_no_rollback():
    operation = of(
        ("stack", "UPDATE_IN_PROGRESS"), ("stack", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), ("a", "DELETE_COMPLETE")
    )
    assert not operation.is_rolling_back
    operation = of(("stack", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"))
    assert not operation.is_rolling_back
