// The reply is what came.
exports.echo = async (event) => ({ statusCode: 200, body: event.body });
