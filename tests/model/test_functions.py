"""What a function's answer is, and that whoever runs functions is an invoker."""

from trunkline.functions.aws import AwsFunctions
from trunkline.model.functions import Invocation, InvocationRefused, Invoker
from trunkline.testing import Function


def test_an_invocation_has_not_failed_unless_it_says_so():
    assert Invocation(b"{}").function_error is None
    assert Invocation(b"{}", "Unhandled").function_error == "Unhandled"


def test_the_double_and_functions_in_aws_are_invokers():
    functions = AwsFunctions()
    invokers: list[Invoker] = [Function(lambda event, context: None, name="double"), functions.function("far")]
    assert [invoker.name for invoker in invokers] == ["double", "far"]
    functions.close()


def test_a_refusal_says_why():
    assert str(InvocationRefused("not run: Rate Exceeded.")) == "not run: Rate Exceeded."
