// A runtime client for functions in Node, where AWS's own is not installed: `node client.mjs HANDLER`.
// It asks Lambda's Runtime API for events, one after another, and hands them to the handler.

import http from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { format } from "node:util";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const root = process.env.LAMBDA_TASK_ROOT ?? process.cwd();
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 }); // what is idle keeps no event loop busy
const BASE = "/2018-06-01/runtime/";
const BY_SYNTAX = new Set(["ERR_REQUIRE_ESM", "ERR_REQUIRE_ASYNC_MODULE"]);
const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const LAST_WITH_CALLBACKS = 22;
const version = Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV ?? "")?.[1] ?? LAST_WITH_CALLBACKS);

let syntaxError = null; // of the function's code, as Node threw it
let requestId = null; // of what is being handled, or was last
let atEmptyLoop = null; // what is to be done when nothing is left to be done

function call(method, path, body, headers = {}) {
  return new Promise((resolved, rejected) => {
    const length = body === undefined ? {} : { "Content-Length": Buffer.byteLength(body) };
    const request = http.request(
      { host, port, method, path: BASE + path, agent, headers: { ...headers, ...length } },
      (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolved({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
        response.on("error", rejected);
      },
    );
    request.on("error", rejected);
    request.end(body);
  });
}

// What a function writes has the time, its request and the level with it, as in Lambda: as text, or as one line of JSON.

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const isJson = process.env.AWS_LAMBDA_LOG_FORMAT === "JSON";
const least = isJson ? LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL) : 0;

function textOf(level, args) {
  return `${new Date().toISOString()}\t${requestId ?? "-"}\t${level}\t${format(...args)}`;
}

function errorMembers(error) {
  const stackTrace = typeof error.stack === "string" ? error.stack.split("\n") : [];
  return { errorType: error.constructor?.name ?? "UnknownError", errorMessage: error.message, stackTrace };
}

function jsonOf(level, args) {
  const line = { timestamp: new Date().toISOString(), level, requestId: requestId ?? undefined };
  const withErrors = (_, value) => (value instanceof Error ? { ...errorMembers(value), ...value } : value);
  if (args.length === 1) {
    try {
      return JSON.stringify({ ...line, message: args[0] }, withErrors);
    } catch {} // it names itself, or is a BigInt
  }
  const error = args.find((arg) => arg instanceof Error);
  return JSON.stringify({ ...line, message: format(...args), ...(error && errorMembers(error)) });
}

function speak(level) {
  const lineOf = isJson ? jsonOf : textOf;
  return (...args) => {
    process.stdout.write(`${lineOf(level, args)}\n`);
  };
}

for (const [rank, level] of LEVELS.entries()) {
  console[level.toLowerCase()] = rank < least ? () => {} : speak(level);
}
console.log = console.info;

// Errors.

function runtimeError(kind, message, stack) {
  const error = Object.assign(new Error(message), { name: `Runtime.${kind}` });
  error.stack = `${error.name}: ${stack ?? message}`;
  return error;
}

function described(error) {
  const is = error instanceof Error || (error?.name && error.message && error.stack);
  return JSON.stringify({
    errorType: is ? error.name : typeof error,
    errorMessage: is ? error.message : String(error),
    trace: is && error.stack ? error.stack.split("\n") : [],
  });
}

async function fail(path, what, error) {
  if (what) console.error(what, error?.name?.startsWith?.("Runtime.") ? error.stack : error);
  const type = JSON.parse(described(error)).errorType;
  await call("POST", path, described(error), { "Lambda-Runtime-Function-Error-Type": type });
}

async function die(what, error, code) {
  const path = requestId === null ? "init/error" : `invocation/${requestId}/error`;
  await fail(path, what, error).catch(() => {});
  process.exit(code);
}

process.on("uncaughtException", (error) => die("Uncaught Exception", error, 129));
process.on("unhandledRejection", (reason) => {
  die("Unhandled Promise Rejection", runtimeError("UnhandledPromiseRejection", String(reason), reason?.stack), 128);
});
process.on("beforeExit", () => {
  const then = atEmptyLoop;
  atEmptyLoop = null;
  then?.();
});

// The handler.

globalThis.awslambda = {
  ...globalThis.awslambda,
  streamifyResponse: (handler) => Object.assign(handler, { [STREAMING]: "response" }),
  HttpResponseStream: { from: (stream) => stream },
};

// Whether Node takes a file for an ES module: by its suffix, or by the package.json that is nearest.
function isModule(file) {
  if (!file.endsWith(".js")) return file.endsWith(".mjs");
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const found = join(folder, "package.json");
    if (existsSync(found)) return JSON.parse(readFileSync(found, "utf8")).type === "module";
    if (folder === dirname(folder)) return false;
  }
}

async function loadFile(base, name) {
  const file = ["", ".js", ".mjs", ".cjs"].map((suffix) => base + suffix).find((path) => existsSync(path));
  if (file === undefined) return createRequire(join(root, "x.js"))(name); // a package, or an error that says so
  // Not `require` for both, which newer versions of Node could do: resolve.mjs is for `import` alone.
  const imported = () => import(pathToFileURL(file).href);
  if (isModule(file)) return imported();
  try {
    return createRequire(pathToFileURL(file))(file);
  } catch (error) {
    // Newer versions also find out by its syntax that a file is a module, though nobody says so.
    if (!(error instanceof SyntaxError || BY_SYNTAX.has(error.code) || error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    return imported();
  }
}

async function loadModule(folder, name) {
  try {
    return await loadFile(resolve(root, folder, name), name);
  } catch (error) {
    if (error instanceof SyntaxError) {
      syntaxError = error;
      throw runtimeError("UserCodeSyntaxError", String(error), error.stack);
    }
    if (error?.code === "MODULE_NOT_FOUND") throw runtimeError("ImportModuleError", String(error), error.stack);
    throw error;
  }
}

async function load(handler) {
  const whole = basename(handler);
  const [, name, path] = /^([^.]*)\.(.*)$/.exec(whole) ?? [];
  if (handler.includes("..")) {
    throw runtimeError("MalformedHandlerName", `'${handler}' is not a valid handler name: it has '..' in it`);
  }
  if (path === undefined) throw runtimeError("MalformedHandlerName", "Bad handler");
  const module = await loadModule(handler.slice(0, handler.length - whole.length), name);
  const within = (value) => path.split(".").reduce((outer, key) => outer?.[key], value);
  const found = within(module) ?? within(module?.default);
  if (!found) throw runtimeError("HandlerNotFound", `${handler} is undefined or not exported`);
  if (typeof found !== "function") throw runtimeError("HandlerNotFound", `${handler} is not a function`);
  refuse(handler, found);
  return found;
}

function refuse(name, handler) {
  if (handler[STREAMING]) {
    const text = `${name} streams its answer (awslambda.streamifyResponse), which nobody here could receive`;
    throw runtimeError("MalformedStreamingHandler", `${text}; expected a handler that returns a whole one`);
  }
  if (version > LAST_WITH_CALLBACKS && handler.length > 2) {
    const text = `${name} takes a callback, which Lambda no longer has in nodejs${version}.x`;
    throw runtimeError("CallbackHandlerDeprecated", `${text}; expected an async function of event and context`);
  }
}

// One event.

function contextOf(headers, ends) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const given = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  return Object.assign(ends, {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: given("lambda-runtime-client-context"),
    identity: given("lambda-runtime-cognito-identity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

// The ways in which a handler may end, of which the first counts, and what of them is its context's.
function endings(resolved, rejected) {
  let hasEnded = false;
  const first = (end) => (...args) => {
    if (hasEnded) return;
    hasEnded = true;
    atEmptyLoop = null;
    end(...args);
  };
  const done = first((error, value) => (error == null ? resolved(value) : rejected(error)));
  const ends = {
    callbackWaitsForEmptyEventLoop: true,
    succeed: (value) => done(null, value),
    fail: (error) => done(error ?? "handled"),
    done,
  };
  const callback = first((error, value) => {
    if (error != null) rejected(error);
    else if (ends.callbackWaitsForEmptyEventLoop) atEmptyLoop = () => resolved(value);
    else resolved(value);
  });
  atEmptyLoop = () => done(null, null); // it has forgotten to call back
  return { ends, callback };
}

function run(handler, event, headers) {
  return new Promise((resolved, rejected) => {
    const { ends, callback } = endings(resolved, rejected);
    const context = contextOf(headers, ends);
    try {
      const returned = handler(event, context, callback);
      if (typeof returned?.then === "function") returned.then(ends.succeed, ends.fail);
      else if (version > LAST_WITH_CALLBACKS) ends.succeed(returned);
    } catch (error) {
      ends.fail(error);
    }
  });
}

function serialized(value) {
  try {
    return JSON.stringify(value) ?? "null";
  } catch {
    throw new Error("Unable to stringify response body");
  }
}

async function serve(handler) {
  for (;;) {
    const { headers, body } = await call("GET", "invocation/next");
    requestId = headers["lambda-runtime-aws-request-id"];
    process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
    try {
      const answer = serialized(await run(handler, JSON.parse(body), headers));
      await call("POST", `invocation/${requestId}/response`, answer);
    } catch (error) {
      await fail(`invocation/${requestId}/error`, "Invoke Error", error);
    }
  }
}

let handler;
try {
  handler = await load(process.argv[2]);
} catch (error) {
  await fail("init/error", syntaxError === null ? "Uncaught Exception" : "", error);
  if (syntaxError === null) process.exit(1);
  process.removeAllListeners("uncaughtException");
  throw syntaxError; // Node alone knows its file and line, and prints them
}
serve(handler);
