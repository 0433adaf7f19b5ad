"""What users import in their tests.

    from trunkline import testing

    @pytest.mark.trunkline
    async def test_a_message_reaches_the_others():
        async with testing.node("chat.py") as node:
            ann, ben = await node.connect("socket"), await node.connect("socket")
            await ann.send("hello")
            assert await ben.receive() == "hello"

Time is virtual: `asyncio.sleep(7200)` takes milliseconds, and so do idle and lifetime limits. Only `testing.template`,
whose functions are processes, needs real time.
"""

from __future__ import annotations

from trunkline.testing.client import Client, Closed, Refused
from trunkline.testing.context import context
from trunkline.testing.faults import Fault, Faults
from trunkline.testing.functions import Function
from trunkline.testing.lambda_node import lambda_node
from trunkline.testing.loop import Deadlock, JumpingLoop
from trunkline.testing.node import TestNode, node
from trunkline.testing.template import TestTemplate, template

__all__ = [
    "Client",
    "Closed",
    "Deadlock",
    "Fault",
    "Faults",
    "Function",
    "JumpingLoop",
    "Refused",
    "TestNode",
    "TestTemplate",
    "context",
    "lambda_node",
    "node",
    "template",
]
