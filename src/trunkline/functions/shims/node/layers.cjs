// Modules of a function's layers are found where Lambda has them: what begins with /opt is looked for in the folder that
// the layers were laid into (TRUNKLINE_LAYERS), and only then in this machine's own /opt.
'use strict';

const Module = require('node:module');
const { pathToFileURL } = require('node:url');

const layers = process.env.TRUNKLINE_LAYERS;
const OPT = /^(?:file:\/\/)?(?=\/opt\/)/;

const resolveFilename = Module._resolveFilename;

Module._resolveFilename = function resolved(request, ...rest) {
  if (typeof request === 'string' && request.startsWith('/opt/')) {
    try {
      return resolveFilename.call(this, layers + request.slice('/opt'.length), ...rest);
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return resolveFilename.call(this, request, ...rest);
};

const HOOK = `
  export async function resolve(specifier, context, next) {
    if (!${OPT}.test(specifier)) return next(specifier, context);
    const path = specifier.replace(${OPT}, '').slice('/opt'.length);
    try {
      return await next(${JSON.stringify(pathToFileURL(layers).href)} + path, context);
    } catch (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
      return next(specifier, context);
    }
  }`;

Module.register(`data:text/javascript,${encodeURIComponent(HOOK)}`);
