"""A job tells how far it is, functions ask each other, and each stage has a function of its own."""

import json

ARGUMENTS = ["--parameter", "Steps=3", "--region", "eu-west-2", "--account", "123456789012"]
LOGGED = {"left: True": 1}


async def script(connect):
    async with connect("blue") as ann:
        await ann.says({"do": "start", "job": "tea"})
        heard = [await ann.next() for _ in range(5)]
        taken = next(one for one in heard if isinstance(one, dict))
        assert taken == {"taken": True, "by": taken["by"], "stage": "blue"} and taken["by"].endswith("-front"), taken
        told = [one for one in heard if one != taken]
        steps = [f"trying at tea: the {number} of 3" for number in ("1st", "2nd", "3rd")]
        assert told == [*steps, "tea is done"], told

        await ann.says({"do": "sum", "numbers": [1, 2.5, 39]})
        await ann.hears({"sum": 42.5, "stage": "blue"})
        await ann.says({"do": "sum", "numbers": [-1]})
        await ann.hears({"sum": {"failed": "ValueError", "because": "only up"}, "stage": "blue"})
        await ann.says({"do": "anything else"})
        await ann.hears({"refused": "ResourceNotFoundException", "languages": "English+Welsh", "stage": "blue"})

    async with connect("green") as ben:
        await ben.says({"do": "start"})
        other = await ben.next()
        name = taken["by"].replace("-front", "-other")
        assert other == {"other": "green", "memory": "128", "arn": ["function", name], "id": 36}, other

    status, _, body = await connect.refused("production")
    assert (status, json.loads(body)) == (403, {"message": "Forbidden"}), (status, body)
