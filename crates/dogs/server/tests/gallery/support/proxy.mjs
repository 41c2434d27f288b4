// A proxy that adds a prefix to every path of a service, as `location /prefix/ { proxy_pass http://service/; }` does.

import { createServer, request } from "node:http";

/** Forwards paths below `prefix` to `target`, which is set later. `strays` are the requested paths outside the prefix. */
export async function prefixProxy(context, prefix) {
  const proxy = { target: null, strays: [] };
  const server = createServer((from, to) => {
    if (!from.url.startsWith(`${prefix}/`)) {
      proxy.strays.push(from.url);
      to.writeHead(404).end();
      return;
    }
    const forwarded = request(proxy.target + from.url.slice(prefix.length), { method: from.method, headers: from.headers }, (response) => {
      to.writeHead(response.statusCode, response.headers);
      response.pipe(to);
    });
    forwarded.on("error", () => to.destroy());
    to.on("close", () => forwarded.destroy());
    from.pipe(forwarded);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => { server.closeAllConnections(); server.close(); });
  proxy.url = `http://localhost:${server.address().port}${prefix}`;
  return proxy;
}
