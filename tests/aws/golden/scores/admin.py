"""Who looks on, and who has to go; the other file of the program."""

from people import people

from trunkline import Context, collection, websocket

people = people.allow("writing")
audit = collection("audit.log").allow("writing")
scores = websocket("live-scores").allow("closing", "inspecting")
admin = websocket("admin")


@admin.on("message", route="add")
async def add(ctx: Context) -> str:
    await people.doc(ctx.req.json()["name"]).set({})
    return "added"


@admin.on("message")
async def close(ctx: Context) -> str:
    await audit.doc(ctx.req.connection_id).set(ctx.req.text())
    if await scores.info(ctx.req.text()) is None:
        return "nobody"
    return "closed" if await scores.close(ctx.req.text()) else "gone"
