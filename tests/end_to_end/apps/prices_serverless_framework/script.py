"""Subscribers hear their prices, until they leave or are thrown out."""

TEMPLATE = "cloudformation-template-update-stack.json"
ZIPPED = {"prices.zip": "package"}
LOGGED = {
    "a client from nowhere": 3,
    "2 subscriptions ended": 1,
    "1 subscriptions ended": 1,
    "0 subscriptions ended": 1,
}


async def script(connect):
    async with connect("dev") as ann, connect("dev") as ticker:
        await ann.says({"action": "subscribe", "symbol": "ABC"})
        await ann.hears({"subscribed": "ABC"})
        async with connect("dev") as ben:
            for symbol in ("ABC", "XYZ"):
                await ben.says({"action": "subscribe", "symbol": symbol})
                await ben.hears({"subscribed": symbol})
            await ticker.says({"symbol": "ABC", "cents": 1234})
            await ann.hears({"symbol": "ABC", "price": "12.34"})
            await ben.hears({"symbol": "ABC", "price": "12.34"})
            await ticker.says({"symbol": "XYZ", "cents": 5})
            await ben.hears({"symbol": "XYZ", "price": "0.05"})
            await ben.says("I have had enough")
            closed = await ben.closed()
            assert closed == (1000, "Connection Closed Normally"), closed
        await ticker.says({"symbol": "ABC", "cents": 1})
        await ann.hears({"symbol": "ABC", "price": "0.01"})
