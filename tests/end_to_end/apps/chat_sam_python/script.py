"""Three people in a chat; one leaves, and is told from one who never was."""

LOGGED = {"OnDisconnectFunction | left with 4001 lunch": 1}


async def script(connect):
    async with connect("Prod", "name=Ann") as ann, connect("Prod", "name=Ben") as ben:
        async with connect("Prod") as cia:
            await ann.says({"action": "sendmessage", "data": "hello, wörld 🌍"})
            heard = await ann.next()
            assert heard == {"from": "Ann", "id": heard["id"], "data": "hello, wörld 🌍"}, heard
            await ben.hears(heard)
            await cia.hears(heard)

            await cia.says({"action": "sendmessage", "data": ["any", {"JSON": None}]})
            told = await ann.next()
            assert told == {"from": "somebody", "id": told["id"], "data": ["any", {"JSON": None}]}, told
            await ben.hears(told)
            await cia.hears(told)

            await ann.says({"action": "direct", "to": told["id"], "data": "psst"})
            await cia.hears({"direct": "psst", "id": heard["id"]})
            await ann.hears({"delivered": told["id"], "since": True})
            await cia.close(4001, "lunch")

        await ann.says({"action": "direct", "to": told["id"], "data": "still there?"})
        await ann.hears({"failed": told["id"], "why": "GoneException"})
        await ann.says({"action": "direct", "to": "no-id-at-all", "data": "hm"})
        await ann.hears({"failed": "no-id-at-all", "why": "BadRequestException"})

        for without_a_route in ({"action": "sendMessage"}, {"data": "hello"}, "hello", "[1]", {"action": "$connect"}):
            await ben.says(without_a_route)
            await ben.hears_error("Forbidden")
        await ben.says({"action": "sendmessage", "data": "and on"})
        told = await ben.next()
        assert told == {"from": "Ben", "id": told["id"], "data": "and on"}, told
        await ann.hears(told)
