// An application in Node that tells how code in Node would understand the path of a request: as JSON, {how: path}.
// Usage: node application.js PORT
'use strict';
const http = require('node:http');
const url = require('node:url');
const path = require('node:path');

const base = 'http://application.example';
// A query takes no part: what frameworks split off first is split off here.
const sentPath = (target) => target.split('?')[0];
const decoded = (text) => decodeURIComponent(text);
const withoutParameters = (text) => text.split('/').map((segment) => segment.split(';')[0]).join('/');

const understandings = {
  'new URL': (target) => new URL(target, base).pathname,
  'new URL, decoded': (target) => decoded(new URL(target, base).pathname),
  'decoded, new URL': (target) => new URL(decoded(sentPath(target)), base).pathname,
  'new URL of a new URL': (target) => new URL(new URL(target, base).pathname, base).pathname,
  'url.parse': (target) => url.parse(target).pathname,
  'url.parse, slashes denote a host': (target) => url.parse(target, false, true).pathname,
  'url.resolve, decoded': (target) => decoded(url.parse(url.resolve(base, target)).pathname),
  'Express, Koa': (target) => decoded(sentPath(target)).toLowerCase(),
  'Express, empty segments dropped': (target) => decoded(sentPath(target)).toLowerCase().replace(/\/{2,}/g, '/'),
  'a file server': (target) => path.posix.normalize(decoded(sentPath(target))),
  'a file server on Windows': (target) => path.win32.normalize(decoded(sentPath(target))).replaceAll('\\', '/').toLowerCase(),
  'a file server behind one that decodes': (target) => path.posix.normalize(decoded(decoded(sentPath(target)))),
  'dot segments by NFKC': (target) => path.posix.normalize(decoded(sentPath(target)).normalize('NFKC')),
  'trimmed segments': (target) => path.posix.normalize(decoded(sentPath(target)).split('/').map((s) => s.trim()).join('/')),
  'a servlet': (target) => path.posix.normalize(withoutParameters(decoded(sentPath(target)))),
  'a servlet that strips first': (target) => path.posix.normalize(decoded(withoutParameters(sentPath(target)))),
  'after a hop that writes the decoded path anew': (target) => sentPath(decoded(sentPath(target)).split(/[#\s]/)[0]),
};

http.createServer((request, response) => {
  const answer = {};
  for (const [how, understand] of Object.entries(understandings)) {
    try {
      const path = understand(request.url);
      if (typeof path === 'string') answer[how] = path;
    } catch {
      // This code answers such a path with an error.
    }
  }
  response.setHeader('X-From', 'the application');
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(answer));
}).listen(Number(process.argv[2]), '127.0.0.1');
