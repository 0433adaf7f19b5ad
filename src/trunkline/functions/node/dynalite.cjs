// The DynamoDB of one run: dynalite, with the transactions and the time to live that it lacks.
//
// Its first line of output is the port; each further one names an operation that somebody asked for in vain.
// It ends with its standard input: when we are gone, however we went.
"use strict"

const { EventEmitter } = require("node:events")

const [, , folder, sweepMs, host, port] = process.argv
const API = "DynamoDB_20120810"
const MOST_BYTES = 16 * 1024 * 1024
const MOST_ITEMS = 100
const TOKEN_MS = 10 * 60 * 1000
const MOST_TOKENS = 10_000
const OLDEST = 5 * 365 * 24 * 3600 // what ended so many seconds ago is kept, as by AWS
const TYPES = "com.amazonaws.dynamodb.v20120810#"
const OPERATIONS = { Put: "PutItem", Update: "UpdateItem", Delete: "DeleteItem", ConditionCheck: "UpdateItem" }
// What is wrong with the request itself, and not with one of its items.
const MALFORMED = /^(Invalid |\d+ validation error|ExpressionAttribute|Value provided in ExpressionAttribute)/

const server = require(folder)({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
const [dynalite] = server.listeners("request")
server.removeAllListeners("request")
server.on("request", read)
server.listen(Number(port), host, () => console.log(server.address().port))
process.stdin.resume().on("close", () => process.exit())

// A transaction runs alone; everything else side by side.

const waiting = []
let running = 0
let alone = false

function enter(work, exclusive) {
  waiting.push({ work, exclusive })
  next()
}

function next() {
  while (waiting.length > 0 && !alone && !(waiting[0].exclusive && running > 0)) {
    const { work, exclusive } = waiting.shift()
    running += 1
    alone = exclusive
    work()
      .catch((error) => console.error(error))
      .finally(() => {
        running -= 1
        alone = false
        setImmediate(next)
      })
  }
}

// Requests.

const OURS = {
  TransactWriteItems: write,
  TransactGetItems: get,
  UpdateTimeToLive: setTimeToLive,
  DescribeTimeToLive: timeToLive,
}

function read(request, response) {
  const pieces = []
  let size = 0
  request.on("error", () => {})
  request.on("data", (piece) => {
    size += piece.length
    if (size <= MOST_BYTES) pieces.push(piece)
  })
  request.on("end", () => {
    if (size > MOST_BYTES) {
      response.statusCode = 413
      response.end()
      return
    }
    answer(request, Buffer.concat(pieces), response)
  })
}

function answer(request, body, response) {
  const operation = (request.headers["x-amz-target"] || "").split(".")[1] || ""
  const ours = OURS[operation]
  if (ours === undefined || request.method !== "POST") {
    enter(() => handed(request, body, response, operation), false)
    return
  }
  enter(async () => {
    const [status, found] = await outcome(ours, body)
    response.statusCode = status
    response.setHeader("Content-Type", "application/x-amz-json-1.0")
    response.setHeader("x-amzn-RequestId", require("node:crypto").randomUUID())
    response.end(JSON.stringify(found))
  }, true)
}

async function outcome(transaction, body) {
  try {
    return [200, await transaction(JSON.parse(body))]
  } catch (error) {
    if (error instanceof Refused) return [400, error.body]
    if (error instanceof SyntaxError) return [400, { __type: "com.amazon.coral.service#SerializationException" }]
    console.error(error)
    return [500, { __type: `${TYPES}InternalServerError`, message: String(error) }]
  }
}

// To dynalite as it came. It reads from what looks like a request, as its body is here already.
function handed({ method, url, headers }, body, response, operation) {
  return new Promise((resolve) => {
    const end = response.end
    response.end = (text, ...more) => {
      if (response.statusCode === 400 && String(text).includes("UnknownOperationException")) {
        console.log(/^[A-Za-z]{1,40}$/.test(operation) ? operation : "an operation without a name")
      }
      resolve()
      return end.call(response, text, ...more)
    }
    const request = Object.assign(new EventEmitter(), { method, url, headers })
    try {
      dynalite(request, response)
      if (body.length > 0) request.emit("data", body)
      request.emit("end")
    } catch (error) {
      console.error(error)
      response.statusCode = 500
      response.end(JSON.stringify({ __type: `${TYPES}InternalServerError`, message: String(error) }))
    }
  })
}

class Refused extends Error {
  constructor(type, message, more) {
    super(message)
    this.body = { __type: TYPES + type, Message: message, ...more }
  }
}

// One operation of dynalite's: its answer, and whether it is an error.
function ask(operation, parameters) {
  const headers = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": `${API}.${operation}`,
    "x-amz-date": "now",
    authorization: "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x",
  }
  return new Promise((resolve, reject) => {
    const response = {
      setHeader() {},
      end(text) {
        const body = JSON.parse(text)
        const type = this.statusCode === 200 ? "" : String(body.__type).split("#").pop()
        resolve({ body, type, message: body.message || body.Message || "" })
      },
    }
    const request = Object.assign(new EventEmitter(), { method: "POST", url: "/", headers })
    try {
      dynalite(request, response)
      request.emit("data", Buffer.from(JSON.stringify(parameters)))
      request.emit("end")
    } catch (error) {
      reject(error)
    }
  })
}

async function certain(operation, parameters) {
  const { body, type, message } = await ask(operation, parameters)
  if (type !== "") throw new Refused(type, message)
  return body
}

// Transactions. Nobody sees between their steps, so each step is done at once, and undone if another one fails.

const tokens = new Map()

function remembered(token, text) {
  for (const [known, { until }] of tokens) {
    if (until > Date.now() && tokens.size <= MOST_TOKENS) break
    tokens.delete(known)
  }
  if (token === undefined) return false
  const before = tokens.get(token)
  if (before !== undefined && before.text !== text) {
    throw new Refused("IdempotentParameterMismatchException", "The request uses the same client token as a previous, but non-identical request.")
  }
  return before !== undefined
}

async function write({ TransactItems: items, ClientRequestToken: token }) {
  const text = JSON.stringify(items)
  if (remembered(token, text)) return {}
  const steps = []
  for (const item of checked(items)) steps.push(await step(item))
  if (new Set(steps.map((one) => one.id)).size < steps.length) {
    throw new Refused("ValidationException", "Transaction request cannot include multiple operations on one item")
  }
  for (const one of steps) one.outcome = await ask(one.operation, one.parameters)
  const failed = steps.some((one) => one.outcome.type !== "")
  for (const one of steps) if (one.outcome.type === "" && (failed || one.kind === "ConditionCheck")) await undo(one)
  if (failed) throw cancelled(steps)
  if (token !== undefined) tokens.set(token, { text, until: Date.now() + TOKEN_MS })
  return {}
}

async function get({ TransactItems: items }) {
  const Responses = []
  for (const { Get } of checked(items)) {
    const { Item } = await certain("GetItem", { ...Get, ConsistentRead: true })
    Responses.push(Item === undefined ? {} : { Item })
  }
  return { Responses }
}

function checked(items) {
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) {
    throw new Refused("ValidationException", `1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length between 1 and ${MOST_ITEMS}`)
  }
  return items
}

async function step(item) {
  const [kind, ...others] = Object.keys(item)
  if (OPERATIONS[kind] === undefined || others.length > 0) {
    throw new Refused("ValidationException", "TransactItems can only contain one of Check, Put, Update or Delete")
  }
  const { ReturnValuesOnConditionCheckFailure: shows, ...parameters } = item[kind]
  const { TableName } = parameters
  const { Table } = await certain("DescribeTable", { TableName })
  const source = parameters.Key || parameters.Item || {}
  const names = Table.KeySchema.map((one) => one.AttributeName)
  const Key = Object.fromEntries(names.map((name) => [name, source[name]]))
  const before = await ask("GetItem", { TableName, Key, ConsistentRead: true })
  const id = JSON.stringify([TableName, Key])
  return { kind, operation: OPERATIONS[kind], parameters, shows, Key, id, before: before.body.Item }
}

function undo({ parameters: { TableName }, Key, before }) {
  return before === undefined ? certain("DeleteItem", { TableName, Key }) : certain("PutItem", { TableName, Item: before })
}

function cancelled(steps) {
  for (const { outcome } of steps) {
    const isOfAnItem = ["", "ConditionalCheckFailedException", "ValidationException"].includes(outcome.type)
    if (!isOfAnItem || MALFORMED.test(outcome.message)) return new Refused(outcome.type, outcome.message)
  }
  const CancellationReasons = steps.map(reason)
  const codes = CancellationReasons.map((one) => one.Code).join(", ")
  const message = `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`
  return new Refused("TransactionCanceledException", message, { CancellationReasons })
}

function reason({ outcome, shows, before }) {
  if (outcome.type === "") return { Code: "None" }
  if (outcome.type === "ValidationException") return { Code: "ValidationError", Message: outcome.message }
  const found = { Code: "ConditionalCheckFailed", Message: outcome.message }
  return shows === "ALL_OLD" && before !== undefined ? { ...found, Item: before } : found
}

// Time to live: an item ends soon after the time that its attribute tells, in seconds.

const ends = new Map()
setInterval(() => ends.forEach((attribute, table) => enter(() => sweep(table, attribute), false)), Number(sweepMs))

async function setTimeToLive({ TableName, TimeToLiveSpecification }) {
  await certain("DescribeTable", { TableName })
  if (TimeToLiveSpecification.Enabled) ends.set(TableName, TimeToLiveSpecification.AttributeName)
  else ends.delete(TableName)
  return { TimeToLiveSpecification }
}

async function timeToLive({ TableName }) {
  const AttributeName = ends.get(TableName)
  if (AttributeName === undefined) return certain("DescribeTimeToLive", { TableName })
  await certain("DescribeTable", { TableName })
  return { TimeToLiveDescription: { TimeToLiveStatus: "ENABLED", AttributeName } }
}

async function sweep(TableName, attribute) {
  const now = Math.floor(Date.now() / 1000)
  const over = {
    ExpressionAttributeNames: { "#end": attribute },
    ExpressionAttributeValues: { ":now": { N: String(now) }, ":oldest": { N: String(now - OLDEST) } },
  }
  const condition = "#end < :now AND #end > :oldest"
  try {
    const { Table } = await certain("DescribeTable", { TableName })
    let ExclusiveStartKey
    do {
      const page = await certain("Scan", { TableName, ...over, FilterExpression: condition, ExclusiveStartKey })
      for (const item of page.Items) {
        const Key = Object.fromEntries(Table.KeySchema.map((one) => [one.AttributeName, item[one.AttributeName]]))
        await ask("DeleteItem", { TableName, Key, ...over, ConditionExpression: condition })
      }
      ExclusiveStartKey = page.LastEvaluatedKey
    } while (ExclusiveStartKey !== undefined)
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    ends.delete(TableName) // the table is gone
  }
}
