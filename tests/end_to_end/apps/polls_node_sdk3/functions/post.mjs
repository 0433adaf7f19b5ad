import {
  ApiGatewayManagementApiClient,
  GoneException,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";

const clients = new Map();

function clientFor({ domainName, stage }) {
  const endpoint = `https://${domainName}/${stage}`;
  if (!clients.has(endpoint)) clients.set(endpoint, new ApiGatewayManagementApiClient({ endpoint }));
  return clients.get(endpoint);
}

/** Resolves to whether somebody was there. */
export async function post(requestContext, ConnectionId, message) {
  const Data = new TextEncoder().encode(JSON.stringify(message));
  try {
    await clientFor(requestContext).send(new PostToConnectionCommand({ ConnectionId, Data }));
    return true;
  } catch (error) {
    if (error instanceof GoneException) return false;
    throw error;
  }
}
