"""Two people write on a board; who is late is told so."""

TEMPLATE = "cdk.out/BoardStack.template.json"


async def script(connect):
    async with connect("production") as ann, connect("production") as ben:
        await ann.says({"action": "board"})
        await ann.hears({})
        await ann.says({"action": "set", "cell": "A1", "value": "x", "version": 0})
        for client in (ann, ben):
            await client.hears({"cell": "A1", "value": "x", "version": 1})
        await ben.says({"action": "set", "cell": "A1", "value": "o", "version": 0})
        await ben.hears({"conflict": "A1", "version": 1})
        await ben.says({"action": "set", "cell": "A1", "value": "o", "version": 1})
        for client in (ann, ben):
            await client.hears({"cell": "A1", "value": "o", "version": 2})
        await ben.says("the default route has no response")
        await ben.says({"action": "set", "cell": "B2", "value": "é", "version": 0})
        for client in (ann, ben):
            await client.hears({"cell": "B2", "value": "é", "version": 1})
        await ann.says({"action": "board"})
        await ann.hears({"A1": ["o", 2], "B2": ["é", 1]})
