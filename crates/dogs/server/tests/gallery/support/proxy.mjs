// A proxy that adds a prefix to every path of a service, as `location /prefix/ { proxy_pass http://service/; }` does.

import { createServer, request } from "node:http";

/** Passes what is below `prefix` on to `target`, which is set later. `strays` are the paths asked for outside the prefix. */
export async function prefixProxy(context, prefix) {
  const proxy = { target: null, strays: [] };
  const server = createServer((from, to) => {
    if (!from.url.startsWith(`${prefix}/`)) {
      proxy.strays.push(from.url);
      to.writeHead(404).end();
      return;
    }
    const passed = request(proxy.target + from.url.slice(prefix.length), { method: from.method, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    passed.on("error", () => to.destroy());
    to.on("close", () => passed.destroy());
    from.pipe(passed);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => { server.closeAllConnections(); server.close(); });
  proxy.url = `http://localhost:${server.address().port}${prefix}`;
  return proxy;
}
