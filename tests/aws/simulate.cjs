// Asks a simulator of IAM whether a role may do something. In: {policies: {ROLE: document}, requests: [[ROLE, action,
// ARN], ...]}; out: [true, false, ...], or what the simulator found wrong with a question.
const { runSimulation } = require("@cloud-copilot/iam-simulate");

async function ask(policies, [role, action, resource]) {
  const accountId = resource.split(":")[4];
  const request = {
    action, principal: "arn:aws:iam::123456789012:role/" + role, resource: { resource, accountId }, contextVariables: {},
  };
  const identityPolicies = [{ name: role, policy: policies[role] }];
  const none = { serviceControlPolicies: [], resourceControlPolicies: [] };
  const answer = await runSimulation({ identityPolicies, request, ...none }, {});
  return answer.resultType === "single" ? answer.overallResult === "Allowed" : answer;
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const { policies, requests } = JSON.parse(Buffer.concat(chunks).toString());
  const answers = [];
  for (const request of requests) answers.push(await ask(policies, request));
  console.log(JSON.stringify(answers));
}

main();
