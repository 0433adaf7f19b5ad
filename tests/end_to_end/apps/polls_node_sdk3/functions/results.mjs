import { post } from "./post.mjs";
import { standing } from "./tables.mjs";

export async function handler({ requestContext, body }) {
  const { poll } = JSON.parse(body);
  await post(requestContext, requestContext.connectionId, { poll, votes: await standing(poll) });
  return { statusCode: 200, body: "kept to itself" };
}
