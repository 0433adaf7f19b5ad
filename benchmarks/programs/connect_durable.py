"""A connect handler that writes a document: the handshake is answered when the document is on the disk."""

from trunkline import Context, collection, websocket

connections = collection("connections").allow("writing")
socket = websocket("socket")


@socket.on("connect")
async def connect(ctx: Context) -> None:
    await connections.doc(ctx.req.connection_id).set({})
