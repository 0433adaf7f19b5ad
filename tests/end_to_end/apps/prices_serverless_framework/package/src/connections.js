'use strict';

const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { BatchWriteCommand, DynamoDBDocumentClient, QueryCommand } = require('@aws-sdk/lib-dynamodb');

const client = DynamoDBDocumentClient.from(new DynamoDBClient({ region: process.env.AWS_REGION }));
const TableName = process.env.SUBSCRIPTIONS;

module.exports.connect = async (event) => {
  const { origin = 'nowhere' } = Object.fromEntries(
    Object.entries(event.headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  console.log(`a client from ${origin}`);
  return { statusCode: 200, body: 'Connected.' };
};

module.exports.disconnect = async (event) => {
  const { connectionId } = event.requestContext;
  const { Items } = await client.send(
    new QueryCommand({
      TableName,
      IndexName: 'by-connection',
      KeyConditionExpression: 'connectionId = :id',
      ExpressionAttributeValues: { ':id': connectionId },
    }),
  );
  if (Items.length > 0) {
    const deletes = Items.map(({ symbol }) => ({ DeleteRequest: { Key: { symbol, connectionId } } }));
    await client.send(new BatchWriteCommand({ RequestItems: { [TableName]: deletes } }));
  }
  console.log(`${Items.length} subscriptions ended`);
  return { statusCode: 200, body: 'Disconnected.' };
};
