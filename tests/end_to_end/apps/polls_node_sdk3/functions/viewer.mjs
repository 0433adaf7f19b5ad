import { DeleteCommand, PutCommand } from "@aws-sdk/lib-dynamodb";

import { documents, VIEWERS_TABLE as TableName } from "./tables.mjs";
import { post } from "./post.mjs";

export const handler = async ({ requestContext, queryStringParameters }) => {
  const { connectionId: id, eventType, identity } = requestContext;
  switch (eventType) {
    case "CONNECT": {
      const Item = { id, name: queryStringParameters?.name, from: identity.sourceIp };
      await documents.send(new PutCommand({ TableName, Item }));
      // Nothing can be posted to a connection before it is made.
      console.log("may be posted to while it connects:", await post(requestContext, id, { too: "early" }));
      break;
    }
    case "DISCONNECT":
      await documents.send(new DeleteCommand({ TableName, Key: { id } }));
      console.log("viewer left:", requestContext.disconnectStatusCode);
      break;
  }
  return { statusCode: 200 };
};
