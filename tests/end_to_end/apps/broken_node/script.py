"""What goes wrong in Node costs one answer, never the connection."""

ERROR = "Internal server error"
TIMED_OUT = "Moody failed: Sandbox.Timedout: .* Task timed out after 1.00 seconds"
IMPORT = "Importless failed: .*Cannot find module 'a-package-that-was-forgotten'"
EXITED = "Moody failed: Runtime"

# What ends a worker, and the log.
DEADLY = {
    "sleep": TIMED_OUT,
    "exit": EXITED,
    "reject": EXITED,
    "throw later": "Moody failed: Error: nobody catches this",
    "loop": TIMED_OUT,
}
ABSENT = {"import": IMPORT, "syntax": "Unparsable failed: .*Unexpected token ';'"}
FAILURES = [IMPORT, *DEADLY.values(), "Moody failed: TypeError: in a bad mood", *ABSENT.values()]
LOGGED = {
    "Error: Cannot find module 'a-package-that-was-forgotten'": 1,  # of two invocations
    "unparsable.mjs:2": 1,
}


async def script(connect):
    status, _, body = await connect.refused("closed")
    assert status == 502 and ERROR in body, (status, body)
    async with connect("open") as ann:
        for mood in DEADLY:
            await ann.says({"route": "moody", "mood": mood})
            await ann.hears_error(ERROR)
            await ann.says({"route": "moody"})
            await ann.hears("answer 1")
        await ann.says({"route": "moody", "mood": "throw"})
        await ann.hears_error(ERROR)
        await ann.says({"route": "moody"})
        await ann.hears("answer 3")
        for route in ABSENT:
            await ann.says({"route": route})
            await ann.hears_error(ERROR)
        await ann.says({"route": "moody"})
        await ann.hears("answer 4")
