// The service as a process, on free ports and in a temporary directory.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const TEST_TIMEOUT = 60_000;

/** A service in a directory, where it can be started, stopped and started again. */
export class Service {
  #child = null;
  #folder;
  #variables;
  #program;
  #component;
  #log = [];

  /** `component` is the HTTP server of the service, as the program logs it. */
  constructor(folder, variables, { program = process.env.DOGS, component = "http" } = {}) {
    this.#folder = folder;
    this.#program = program;
    this.#component = component;
    this.#variables = {
      SERVER_PORT: "0", GRPC_PORT: "0", PROMETHEUS_PORT: "0", LOG_FORMAT: "json", OUTBOX_LEASE: "1s", OUTBOX_POLL: "50ms", ...variables,
    };
  }

  /** Starts a service in an empty directory; it is removed after the test file. */
  static async start(context, variables = {}, options = {}) {
    const folder = await mkdtemp(join(tmpdir(), "gallery-"));
    const service = new Service(folder, variables, options);
    context.after(async () => {
      await service.stop();
      await rm(folder, { recursive: true, force: true });
    });
    await service.start();
    return service;
  }

  /** Starts the service, on the port of its last start, and waits until it is ready. */
  async start() {
    this.#child = spawn(this.#program, ["serve"], { cwd: this.#folder, env: this.#variables, stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: this.#child.stdout });
    const bound = new Promise((resolve, reject) => {
      lines.on("line", (line) => {
        this.#log.push(line);
        const entry = line.startsWith("{") ? JSON.parse(line) : {};
        if (entry.message === "listening" && entry.component === this.#component) resolve(entry.address);
      });
      this.#child.once("exit", (code) => reject(new Error(`ended with ${code}:\n${this.#log.join("\n")}`)));
    });
    const address = await within(bound, "the service listens");
    const port = address.split(":").at(-1);
    if (this.#component === "http") this.#variables.SERVER_PORT = port;
    this.url = `http://localhost:${port}`;
    await eventually("the service is ready", async () => (await fetch(`${this.url}/ready`)).ok);
  }

  /** Stops it with SIGTERM. */
  async stop() {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await within(ended, "the service stops");
  }

  /** Runs a command in the same directory until it exits. */
  async run(...args) {
    const child = spawn(this.#program, args, { cwd: this.#folder, env: this.#variables, stdio: ["ignore", "ignore", "inherit"] });
    const [code] = await within(once(child, "exit"), `dogs ${args.join(" ")} ends`);
    if (code !== 0) throw new Error(`dogs ${args.join(" ")} ended with ${code}`);
  }

  /** Calls the API; returns the body of the response. */
  async call(method, path, body) {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const headers = body === undefined ? {} : { "content-type": type };
    const response = await fetch(`${this.url}/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  }

  /** Renames a dog. */
  rename(id, name) {
    return this.call("PATCH", `/dogs/${id}`, { name });
  }

  /** Fetches an image of each breed, and waits for the last thumbnail. */
  async fetchAll(breeds) {
    for (const breed of breeds) await this.call("GET", `/dogs/${breed}/image`);
    await eventually("every dog has a thumbnail", async () => {
      const { items } = await this.call("GET", "/dogs?limit=100");
      return items.length >= breeds.length && items.every((dog) => dog.thumbnail_url);
    });
  }
}

/** A dog API that has huskies and fails to return their images. */
export async function brokenUpstream(context) {
  const server = createServer((request, response) => {
    const known = request.url === "/breeds/list/all";
    response.writeHead(known ? 200 : 500, { "content-type": "application/json" });
    response.end(known ? JSON.stringify({ status: "success", message: { husky: [] } }) : "{}");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}

async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), TEST_TIMEOUT); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Polls until the condition is true; fails when it is not in time. */
export async function eventually(what, poll) {
  const started = Date.now();
  while (!(await poll())) {
    if (Date.now() - started > TEST_TIMEOUT) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
