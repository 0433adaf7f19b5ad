"""Two viewers vote; everybody sees it, nobody votes twice, and what fails does not end a connection."""

LOGGED = {
    "may be posted to while it connects: false": 2,
    "viewer left: 1000": 2,
}
FAILURES = ["Vote failed: RangeError: poll deleted is deleted"]


async def script(connect):
    async with connect("v1", "name=Ann") as ann:
        async with connect("v1") as ben:
            await ann.says({"action": "results", "poll": "lunch"})
            await ann.hears({"poll": "lunch", "votes": {}})
            await ann.says({"action": "vote", "poll": "lunch", "voter": "ann", "choice": "soup"})
            await ann.hears({"poll": "lunch", "votes": {"soup": 1}})
            await ben.hears({"poll": "lunch", "votes": {"soup": 1}})
            await ben.says({"action": "vote", "poll": "lunch", "voter": "ben", "choice": "pasta"})
            await ben.hears({"poll": "lunch", "votes": {"pasta": 1, "soup": 1}})
            await ann.hears({"poll": "lunch", "votes": {"pasta": 1, "soup": 1}})
            await ben.says({"action": "vote", "poll": "lunch", "voter": "ben", "choice": "soup"})
            await ben.hears({"error": "ben voted"})
            await ben.says({"action": "vote", "poll": "deleted"})
            await ben.hears_error("Internal server error")
            await ben.says("not JSON")
            await ben.hears('I do not know not JSON; say {"action": "vote"} or {"action": "results"}.')
        await ann.says({"action": "results", "poll": "lunch"})
        await ann.hears({"poll": "lunch", "votes": {"pasta": 1, "soup": 1}})
