"""Two rooms; who left without a word is noticed by the next message to the room."""

LOGGED = {"gone: GoneException": 1}


async def script(connect):
    status, headers, body = await connect.refused("dev", "room=private")
    assert (status, body) == (403, "This room is private."), (status, body)

    async with connect("dev") as ann, connect("dev", "room=kitchen+%26+bar") as ben:
        await ann.says("hello")
        await ann.hears({"room": "lobby", "text": "hello"}, {"routeKey": "$default", "delivered": 1})

        async with connect("dev", "room=kitchen%20%26%20bar") as cia:
            await cia.says("any text, {no JSON")
            told = {"room": "kitchen & bar", "text": "any text, {no JSON"}
            await ben.hears(told)
            await cia.hears(told, {"routeKey": "$default", "delivered": 2})

            await ann.says({"type": "enter-room", "room": "kitchen & bar"})
            await ann.hears({"entered": "kitchen & bar", "people": 3})
            await ann.says({"type": "enter-room", "room": "Küche"})
            await ann.hears({"entered": "Küche", "people": 1})

        await ben.says({"type": "unknown"})
        await ben.hears(
            {"room": "kitchen & bar", "text": '{"type": "unknown"}'}, {"routeKey": "$default", "delivered": 1}
        )
        await ben.says("alone")
        await ben.hears({"room": "kitchen & bar", "text": "alone"}, {"routeKey": "$default", "delivered": 1})
