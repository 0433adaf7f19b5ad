import { PutCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";

import { documents, standing, viewers, VOTES_TABLE as TableName } from "./tables.mjs";
import { post } from "./post.mjs";

const deletedPolls = await Promise.resolve(new Set(["deleted"]));

export const handler = async (event) => {
  const { requestContext } = event;
  const { poll, choice, voter } = JSON.parse(event.body);
  if (deletedPolls.has(poll)) throw new RangeError(`poll ${poll} is deleted`);
  try {
    await documents.send(
      new PutCommand({
        TableName,
        Item: { poll, key: `voter#${voter}`, choice },
        ConditionExpression: "attribute_not_exists(poll)",
      }),
    );
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
    await post(requestContext, requestContext.connectionId, { error: `${voter} voted` });
    return { statusCode: 409 };
  }
  await documents.send(
    new UpdateCommand({
      TableName,
      Key: { poll, key: `count#${choice}` },
      UpdateExpression: "ADD votes :one",
      ExpressionAttributeValues: { ":one": 1 },
    }),
  );
  const now = { poll, votes: await standing(poll) };
  const posts = [];
  for await (const { id } of viewers()) posts.push(post(requestContext, id, now));
  await Promise.all(posts);
  return { statusCode: 200 };
};
