// Server-sent events, as EventSource receives them, but with the headers of `request`: EventSource cannot send a token.

import { request } from "./session.js";

/** The pause before the next connection, in milliseconds. */
const RETRY = 2000;

/** The fields of an event: the text of each line after its name. */
const parse = (block) => {
  const lines = block.split("\n").map((line) => line.split(/: ?(.*)/s));
  return Object.fromEntries(lines.filter(([name]) => name !== ""));
};

/**
 * Follows the stream at `path` until the function that it returns is called. When a connection ends, it opens the next one after the
 * last event. `opened`, `received` and `failed` are called for each connection, event and error.
 */
export const follow = (path, { opened, received, failed }) => {
  const controller = new AbortController();
  const { signal } = controller;
  let last = null;

  const connect = async () => {
    const response = await request(path, { signal, headers: last === null ? {} : { "last-event-id": last } });
    opened();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const event of blocks.map(parse)) {
        last = event.id ?? last;
        if (event.data !== undefined) received(event);
      }
    }
  };

  const run = async () => {
    while (!signal.aborted) {
      const started = performance.now();
      await connect().catch((error) => signal.aborted || failed(error));
      // A connection that has lasted ends with the server, or with the token: the next one need not wait.
      if (performance.now() - started < RETRY) await new Promise((resolve) => setTimeout(resolve, RETRY));
    }
  };
  run();
  return () => controller.abort();
};
