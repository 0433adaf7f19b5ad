// Loaded with --import, in front of any runtime client: `import` finds the packages of NODE_PATH, as in Lambda.
// Node itself looks there for `require` alone.

import module from "node:module";
import { delimiter, join } from "node:path";
import { pathToFileURL } from "node:url";

const root = process.env.LAMBDA_TASK_ROOT; // the function's own: asking for hooks takes longer than all the rest
const folders = (process.env.NODE_PATH ?? "").split(delimiter).filter((folder) => folder && folder !== root);
const parents = folders.map((folder) => pathToFileURL(join(folder, "..", "x.js")).href);

function isOfPackage(specifier, error) {
  return error.code === "ERR_MODULE_NOT_FOUND" && !/^[./]|^[a-z]+:/.test(specifier);
}

// The same twice: versions that have hooks in the thread itself start sooner with them, others have a thread for them.
function inThread(specifier, context, next) {
  try {
    return next(specifier, context);
  } catch (error) {
    if (!isOfPackage(specifier, error)) throw error;
    for (const parentURL of parents) {
      try {
        return next(specifier, { ...context, parentURL });
      } catch {}
    }
    throw error;
  }
}

const ELSEWHERE = `
  const parents = ${JSON.stringify(parents)};
  ${isOfPackage}
  export async function resolve(specifier, context, next) {
    try {
      return await next(specifier, context);
    } catch (error) {
      if (!isOfPackage(specifier, error)) throw error;
      for (const parentURL of parents) {
        try {
          return await next(specifier, { ...context, parentURL });
        } catch {}
      }
      throw error;
    }
  }`;

if (folders.length > 0) {
  if (module.registerHooks) module.registerHooks({ resolve: inThread });
  else module.register(`data:text/javascript,${encodeURIComponent(ELSEWHERE)}`);
}
