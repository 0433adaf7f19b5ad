import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, paginateScan, QueryCommand } from "@aws-sdk/lib-dynamodb";

export const documents = DynamoDBDocumentClient.from(new DynamoDBClient({}), {
  marshallOptions: { removeUndefinedValues: true },
});

export const { VIEWERS_TABLE, VOTES_TABLE } = process.env;

export async function* viewers() {
  for await (const page of paginateScan({ client: documents, pageSize: 25 }, { TableName: VIEWERS_TABLE })) {
    yield* page.Items;
  }
}

export async function standing(poll) {
  const { Items } = await documents.send(
    new QueryCommand({
      TableName: VOTES_TABLE,
      KeyConditionExpression: "poll = :poll AND begins_with(#key, :counter)",
      ExpressionAttributeNames: { "#key": "key" },
      ExpressionAttributeValues: { ":poll": poll, ":counter": "count#" },
    }),
  );
  return Object.fromEntries(Items.map(({ key, votes }) => [key.slice("count#".length), votes]));
}
