'use strict';

const AWS = require('aws-sdk');

const documents = new AWS.DynamoDB.DocumentClient({ apiVersion: '2012-08-10' });
const TableName = process.env.ROOMS_TABLE;
const A_DAY = 24 * 60 * 60;

exports.put = (connectionId, room) =>
  documents
    .put({
      TableName,
      Item: { connectionId, room, expires: Math.floor(Date.now() / 1000) + A_DAY },
    })
    .promise();

exports.get = (connectionId) =>
  documents
    .get({ TableName, Key: { connectionId } })
    .promise()
    .then((data) => data.Item);

exports.remove = (connectionId) => documents.delete({ TableName, Key: { connectionId } }).promise();

exports.inRoom = (room) =>
  documents
    .query({
      TableName,
      IndexName: process.env.ROOM_INDEX,
      KeyConditionExpression: 'room = :room',
      ExpressionAttributeValues: { ':room': room },
    })
    .promise()
    .then((data) => data.Items);
