"""An auction: routes of its own, and an authorizer."""

from trunkline import Allow, Context, Limits, collection, websocket

lots = collection("lots").allow("reading", "writing")
socket = websocket("auction", select="${request.body.kind}/${request.body.action}", limits=Limits(handler_seconds=5))


@socket.authorizer(identity=["route.request.querystring.token", "route.request.header.Origin"])
async def decide(ctx: Context) -> Allow | None:
    token = ctx.req.query["token"]
    return Allow(token.partition(":")[0]) if token.endswith(":secret") else None


@socket.on("message", route="lot/bid")
async def bid(ctx: Context) -> str:
    lot = lots.doc(ctx.req.json()["lot"])
    await lot.set({"by": ctx.req.authorizer["principalId"], "price": ctx.req.json()["price"]})
    return "taken"


@socket.on("message", route="lot/show")
async def show(ctx: Context) -> object:
    return await lots.doc(ctx.req.json()["lot"]).get()


@socket.on("message")
async def anything_else(ctx: Context) -> str:
    return "kind is lot, and action is bid or show"
