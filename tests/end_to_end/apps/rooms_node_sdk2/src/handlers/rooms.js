'use strict';

const connections = require('../lib/connections');
const send = require('../lib/send');

module.exports.enter = async (event) => {
  const { connectionId } = event.requestContext;
  const { room } = JSON.parse(event.body);
  await connections.put(connectionId, room);
  const here = await connections.inRoom(room);
  await send(event).toOne(connectionId, { entered: room, people: here.length });
  return { statusCode: 200, body: '' };
};

module.exports.say = async (event) => {
  const { connectionId, routeKey } = event.requestContext;
  const { room } = await connections.get(connectionId);
  const sender = send(event);
  const delivered = await sender.toRoom(room, { room, text: event.body });
  await sender.toOne(connectionId, { routeKey, delivered });
  return { statusCode: 200, body: 'nobody reads this' };
};
