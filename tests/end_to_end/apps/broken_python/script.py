"""Whatever a function does, the client is told as AWS tells it, its connection stays, and the next message is answered."""

import re

ERROR = "Internal server error"
LATE = "Endpoint request timed out"
EXITED = "Moody failed: Runtime.ExitError: .*"
IMPORT = "Importless failed: .*No module named 'a_package_that_was_forgotten'"
TIMED_OUT = "Moody failed: Sandbox.Timedout: .* Task timed out after 1.00 seconds"

# Stage, query, status, message; what the log says of it.
HANDSHAKES = [
    ("closed", "", 502, ERROR, IMPORT),
    ("closed", "", 502, ERROR, IMPORT),
    ("guarded", "", 500, ERROR, f"the authorizer at .*{IMPORT}"),
    ("impatient", "mood=nap", 504, LATE, r"Sleepy did not answer within 0\.3 s"),
    ("open", "mood=raise", 502, ERROR, "Moody failed: LookupError: in a bad mood"),
    ("open", "mood=sleep", 502, ERROR, TIMED_OUT),
    ("open", "mood=vanish", 502, ERROR, f"{EXITED}exited without providing a reason"),
    ("open", "mood=text", 500, ERROR, 'no proxy response: .* got "lost"'),
    ("open", "mood=unknown+key", 500, ERROR, "no proxy response: it has 'message'"),
]
# What ends a worker, and the log.
DEADLY = {
    "sleep": TIMED_OUT,
    "exit": f"{EXITED}exit status 1",
    "vanish": f"{EXITED}exited without providing a reason",
    "kill": f"{EXITED}signal: kill",
}
# Answers that are none.
MALFORMED = {
    "unknown key": "it has 'message'",
    "status in words": "statusCode is 'fine'",
    "text": 'got "lost"',
    "no JSON": "Runtime.MarshalError",
    "object": "body is a dict",
}
ABSENT = {
    "import": IMPORT,
    "handlerless": "Handlerless failed: Runtime.HandlerNotFound",
    "other-language": "the runtime 'ruby3.3' cannot be run here",
    "nobody": "'nobody' is no function of the template that can be run here",
}
FAILURES = [
    *(why for *_, why in HANDSHAKES),
    *DEADLY.values(),
    "LookupError: in a bad mood",
    *(why for why in MALFORMED.values() for _ in ("moody", "quiet")),
    r"Sleepy did not answer within 0\.3 s",
    *ABSENT.values(),
]
LOGGED = {
    "Importless | [ERROR] Runtime.ImportModuleError": 1,  # of four invocations
    "Moody | [ERROR] LookupError: in a bad mood": 2,
}


async def script(connect):
    for stage, query, status, message, _ in HANDSHAKES:
        found, _, body = await connect.refused(stage, query)
        ids = r'"connectionId":"[\w-]{18}==", "requestId":"[\w-]{15}="'
        assert found == status, (stage, query, found, body)
        assert re.fullmatch(rf'\{{"message": "{message}", {ids}\}}', body), (stage, query, body)
    status, _, body = await connect.refused("open", "mood=500")
    assert (status, body) == (500, "an error, and yet a body"), (status, body)
    async with connect("impatient"):
        pass
    async with connect("open") as ann:
        await messages(ann)


async def messages(client):
    for mood in DEADLY:
        await client.says({"route": "moody", "mood": mood})
        await client.hears_error(ERROR)
        await client.says({"route": "moody"})
        await client.hears("answer 1")
    await client.says({"route": "moody", "mood": "raise"})
    await client.hears_error(ERROR)
    await client.says({"route": "moody"})
    await client.hears("answer 3")
    for mood in MALFORMED:
        for route in ("moody", "quiet"):
            await client.says({"route": route, "mood": mood})
            await client.hears_error(ERROR)
    await client.says({"route": "quiet", "mood": "500"})
    await client.says({"route": "moody", "mood": "500"})
    await client.hears("an error, and yet a body")
    await client.says({"route": "impatient", "mood": "nap"})
    await client.hears_error(LATE)
    for route in ABSENT:
        await client.says({"route": route})
        await client.hears_error(ERROR)
    await client.says({"route": "no route at all"})
    await client.hears_error("Forbidden")
    await client.says({"route": "moody", "mood": "500"})
    await client.hears("an error, and yet a body")
