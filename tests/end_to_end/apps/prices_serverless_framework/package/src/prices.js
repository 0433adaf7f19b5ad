'use strict';

const {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  PostToConnectionCommand,
} = require('@aws-sdk/client-apigatewaymanagementapi');
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb');
const { DynamoDBDocumentClient, PutCommand, QueryCommand } = require('@aws-sdk/lib-dynamodb');

// The endpoint is that of AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI.
const management = new ApiGatewayManagementApiClient({});
const client = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const TableName = process.env.SUBSCRIPTIONS;

module.exports.subscribe = async (event) => {
  const { connectionId } = event.requestContext;
  const { symbol } = JSON.parse(event.body);
  await client.send(new PutCommand({ TableName, Item: { symbol, connectionId } }));
  return { statusCode: 200, body: JSON.stringify({ subscribed: symbol }) };
};

/** `{"symbol": "ABC", "cents": 120}` goes to those who subscribed to it; anything else ends the connection. */
module.exports.tick = async (event) => {
  let tick;
  try {
    tick = JSON.parse(event.body);
  } catch {
    await management.send(new DeleteConnectionCommand({ ConnectionId: event.requestContext.connectionId }));
    return { statusCode: 400 };
  }
  const { Items } = await client.send(
    new QueryCommand({
      TableName,
      KeyConditionExpression: 'symbol = :symbol',
      ExpressionAttributeValues: { ':symbol': tick.symbol },
    }),
  );
  const Data = Buffer.from(JSON.stringify({ symbol: tick.symbol, price: (tick.cents / 100).toFixed(2) }));
  await Promise.allSettled(
    Items.map(({ connectionId }) =>
      management.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data })),
    ),
  );
  return { statusCode: 200 };
};
