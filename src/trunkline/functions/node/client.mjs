// A runtime client for functions in Node, where AWS's own is not installed: `node client.mjs HANDLER`.
// It asks Lambda's Runtime API for events, one after another, and hands them to the handler.

import http from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { createRequire, register } from "node:module";
import { delimiter, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const root = process.env.LAMBDA_TASK_ROOT ?? process.cwd();
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const BASE = "/2018-06-01/runtime/";
const BY_SYNTAX = new Set(["ERR_REQUIRE_ESM", "ERR_REQUIRE_ASYNC_MODULE", "ERR_MODULE_NOT_FOUND"]);
const folders = (process.env.NODE_PATH ?? "").split(delimiter).filter(Boolean);

// Modules of NODE_PATH are found by `require` alone; in Lambda, `import` finds the SDK too.
if (folders.length > 0) {
  const hook = `
    const folders = ${JSON.stringify(folders.map((folder) => pathToFileURL(join(folder, "..", "x.js")).href))};
    export async function resolve(specifier, context, next) {
      try {
        return await next(specifier, context);
      } catch (error) {
        if (error.code !== "ERR_MODULE_NOT_FOUND" || /^[./]|^[a-z]+:/.test(specifier)) throw error;
        for (const parentURL of folders) {
          try {
            return await next(specifier, { ...context, parentURL });
          } catch {}
        }
        throw error;
      }
    }`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
}

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

function described(error) {
  const is = error instanceof Error;
  return JSON.stringify({
    errorType: is ? error.name : typeof error,
    errorMessage: is ? error.message : String(error),
    trace: is && error.stack ? error.stack.split("\n") : [],
  });
}

// Whether Node takes a file for an ES module: by its suffix, or by the package.json that is nearest.
function isModule(file) {
  if (!file.endsWith(".js")) return file.endsWith(".mjs");
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const found = join(folder, "package.json");
    if (existsSync(found)) return JSON.parse(readFileSync(found, "utf8")).type === "module";
    if (folder === dirname(folder)) return false;
  }
}

async function load(handler) {
  const dot = handler.indexOf(".", handler.lastIndexOf("/") + 1);
  const base = resolve(root, handler.slice(0, dot));
  const file = ["", ".js", ".mjs", ".cjs"].map((suffix) => base + suffix).find((name) => existsSync(name));
  if (dot < 0 || file === undefined) {
    throw Object.assign(new Error(`Cannot find module '${handler.slice(0, dot)}'`), { name: "Runtime.ImportModuleError" });
  }
  // Not `require` for both, which newer versions of Node could do: the hook above is for `import` alone.
  const imported = () => import(pathToFileURL(file).href);
  let module;
  try {
    module = isModule(file) ? await imported() : createRequire(pathToFileURL(file))(file);
  } catch (error) {
    // Newer versions also find out by its syntax that a file is a module, though nobody says so.
    if (isModule(file) || !(error instanceof SyntaxError || BY_SYNTAX.has(error.code))) throw error;
    module = await imported();
  }
  const found = handler
    .slice(dot + 1)
    .split(".")
    .reduce((value, name) => value?.[name], module);
  if (typeof found !== "function") {
    throw Object.assign(new Error(`${handler} is undefined or not exported`), { name: "Runtime.HandlerNotFound" });
  }
  return found;
}

function context(headers, finish) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: finish,
    succeed: (value) => finish(null, value),
    fail: (error) => finish(error ?? new Error("failed")),
  };
}

function run(handler, event, headers) {
  return new Promise((resolved, rejected) => {
    const finish = (error, value) => (error ? rejected(error) : resolved(value));
    const returned = handler(event, context(headers, finish), finish);
    if (typeof returned?.then === "function") returned.then(resolved, rejected);
    else if (handler.length < 3 && returned !== undefined) resolved(returned);
    else if (handler.length < 2) resolved(returned);
  });
}

async function fail(path, error) {
  console.error(error);
  const type = error instanceof Error ? error.name : "Error";
  await call("POST", path, described(error), { "Lambda-Runtime-Function-Error-Type": type });
}

let handler;
try {
  handler = await load(process.argv[2]);
} catch (error) {
  await fail("init/error", error);
  process.exit(1);
}

for (const name of ["uncaughtException", "unhandledRejection"]) {
  process.on(name, (error) => {
    console.error(error);
    process.exit(129);
  });
}

for (;;) {
  const { headers, body } = await call("GET", "invocation/next");
  const id = headers["lambda-runtime-aws-request-id"];
  process.env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"] ?? "";
  try {
    const value = await run(handler, JSON.parse(body), headers);
    await call("POST", `invocation/${id}/response`, JSON.stringify(value) ?? "null");
  } catch (error) {
    await fail(`invocation/${id}/error`, error);
  }
}
