'use strict';

const AWS = require('aws-sdk');
const connections = require('./connections');

// There is no $disconnect route: who is gone is found out here.
module.exports = (event) => {
  const management = new AWS.ApiGatewayManagementApi({
    apiVersion: '2018-11-29',
    endpoint: event.requestContext.domainName + '/' + event.requestContext.stage,
  });

  const toOne = (ConnectionId, message) =>
    management
      .postToConnection({ ConnectionId, Data: JSON.stringify(message) })
      .promise()
      .then(() => true)
      .catch((err) => {
        if (err.statusCode !== 410) throw err;
        console.log('gone:', err.code);
        return connections.remove(ConnectionId).then(() => false);
      });

  const toRoom = (room, message) =>
    connections
      .inRoom(room)
      .then((items) => Promise.all(items.map(({ connectionId }) => toOne(connectionId, message))))
      .then((delivered) => delivered.filter(Boolean).length);

  return { toOne, toRoom };
};
