// Leads a function's HTTPS connections for AWS's names to this machine; Host and path stay as they are, where they
// name an Api.
//
// Loaded with --require. It works at the lowest level that every HTTP client of Node shares, `tls.connect`: what it
// hands out is a plain connection to this machine where what is there speaks plain HTTP. The variables are those of
// ../python/sitecustomize.py, and one more: AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI has the stage that is meant by
// a call without one (the second JavaScript SDK does not read such variables). Of what AWS has and is not here, it says
// so once.
'use strict';

const https = require('node:https');
const { syncBuiltinESMExports } = require('node:module');
const net = require('node:net');
const tls = require('node:tls');

if (process.env.TRUNKLINE_LAYERS) require('./layers.cjs');

const EXECUTE_API = /^(?:[a-z0-9-]+\.)?execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/;
const NO_API = /^execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/;
const SERVICE = /^([a-z0-9-]+)\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$/;
const S3 = /^(?:.+\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$/; // a bucket may stand in front
const VARIABLE = /^AWS_ENDPOINT_URL_([A-Z0-9_]+)$/;
const OTHERWISE = { cloudwatch: 'monitoring', cloudwatchlogs: 'logs', cognitoidentityprovider: 'cognito-idp', eventbridge: 'events', sfn: 'states' };
const AWS = /\.(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;
const environment = process.env;

function place(url) {
  if (!url || !URL.canParse(url)) return null;
  const { protocol, hostname, port } = new URL(url);
  const plain = protocol !== 'https:';
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (plain ? 80 : 443), plain };
}

const here = place(environment.TRUNKLINE_LEAD_TO && `http://${environment.TRUNKLINE_LEAD_TO}`);
const names = new Set((environment.TRUNKLINE_LEAD_NAMES || '').toLowerCase().split(',').filter(Boolean));
const services = Object.create(null);
for (const [variable, url] of Object.entries(environment)) {
  const found = VARIABLE.exec(variable);
  const name = found && found[1].toLowerCase().replaceAll('_', '');
  if (name) services[OTHERWISE[name] || name] = place(url);
}
const management = environment.AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI;
const ours = management && URL.canParse(management) ? new URL(management) : null;
const stage = ours ? ours.pathname.replace(/\/$/, '') : '';

const told = new Set();

function led(name) {
  const lower = String(name || '').toLowerCase().replace(/\.$/, '');
  if (names.has(lower) || EXECUTE_API.test(lower)) return here;
  const service = S3.test(lower) ? 's3' : SERVICE.exec(lower)?.[1];
  const to = services[service];
  if (!to && AWS.test(lower) && !told.has(lower)) {
    told.add(lower);
    process.stderr.write(`${lower} is not here: calls to it go to AWS, and no credentials of yours with them; a variable such as AWS_ENDPOINT_URL_SQS leads them elsewhere\n`);
  }
  return to;
}

const secure = tls.connect;

// As `tls.connect` takes them: (options), (port, host, options) or fewer, and a callback.
function named(args) {
  const listener = args.findLast((argument) => typeof argument === 'function');
  const options = Object.assign({}, ...args.filter((argument) => argument && typeof argument === 'object'));
  if (typeof args[0] !== 'object') options.port = args[0];
  if (typeof args[1] === 'string') options.host = args[1];
  return { options, listener };
}

function plain(to, options, listener) {
  const socket = net.connect({ host: to.host, port: to.port, signal: options.signal });
  Object.assign(socket, { encrypted: true, authorized: true, alpnProtocol: false, servername: options.servername });
  socket.getPeerCertificate = () => ({});
  socket.getProtocol = () => 'TLSv1.3';
  socket.getSession = () => undefined;
  socket.isSessionReused = () => false;
  if (listener) socket.once('secureConnect', listener);
  socket.once('connect', () => socket.emit('secureConnect'));
  return socket;
}

tls.connect = function connect(...args) {
  const { options, listener } = named(args);
  const to = options.socket || Number(options.port) !== 443 ? null : led(options.host || options.servername);
  if (!to) return secure.apply(this, args);
  if (to.plain) return plain(to, options, listener);
  return secure.call(this, { ...options, host: to.host, port: to.port, servername: to.host }, listener);
};

// A call that names neither Api nor stage is given both: the stage in its path, and a Host that the gateway knows.
function staged(request) {
  return function requested(...args) {
    const [options] = args;
    const name = options && (options.hostname || options.host);
    if (stage && NO_API.test(String(name || '')) && /^\/(?:@|%40)connections\//.test(options.path || '')) {
      const headers = Object.entries(options.headers || {}).filter(([header]) => header.toLowerCase() !== 'host');
      const given = { path: stage + options.path, headers: { ...Object.fromEntries(headers), Host: ours.host } };
      args[0] = Object.assign(Object.create(Object.getPrototypeOf(options)), options, given);
    }
    return request.apply(this, args);
  };
}

https.request = staged(https.request);
https.get = staged(https.get);
syncBuiltinESMExports();
