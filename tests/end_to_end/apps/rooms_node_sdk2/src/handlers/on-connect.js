'use strict';

const connections = require('../lib/connections');

exports.handler = (event, context, callback) => {
  const query = event.queryStringParameters;
  if (query && query.room === 'private') {
    callback(null, { statusCode: 403, body: 'This room is private.' });
    return;
  }
  connections
    .put(event.requestContext.connectionId, (query && query.room) || 'lobby')
    .then(() => callback(null, { statusCode: 200, body: 'connected' }))
    .catch((err) => callback(null, { statusCode: 500, body: JSON.stringify(err) }));
};
