#!/usr/bin/env bash
# nats-server 2.9, the version of Debian 12: a stream that is created while the server deletes one of the same name loses its files.
#
# The server stops listing a deleted stream before it has removed its files, and answers the request that deletes it only afterwards.
# Who sees that the stream is missing, and creates it again meanwhile, gets a stream whose folder is removed with the old one: creating
# succeeds, and messages are refused. Under another name it works. With version 2.15.3, both work.
#
# Seen with nats-server 2.9.10 and 2.15.3, and nats-py 2.12.0:
SEEN="2.9.10: same name: refused, another name: stored
2.15.3: same name: stored, another name: stored"
# Needs: go, python3. Takes some 2 minutes.
set -euo pipefail

folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"

python3 -m venv venv
venv/bin/pip -q install nats-py==2.12.0
cat >program.py <<'PYTHON'
import asyncio
import sys

import nats
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError, NotFoundError


async def lost(url, name, again):
    """Deletes a stream with many files; creates it again as soon as it is missing. Whether a message is stored then."""
    # The server answers the requests of one connection in turn.
    connections = [await nats.connect(url), await nats.connect(url)]
    jetstream, operator = [connection.jetstream(timeout=60) for connection in connections]
    subject = f"{name}.x"
    await jetstream.add_stream(name=name, subjects=[subject])
    for number in range(900):
        await jetstream.add_consumer(name, ConsumerConfig(durable_name=f"c{number}", ack_policy="explicit"))
    deleting = asyncio.create_task(operator.delete_stream(name))
    while True:
        try:
            await jetstream.stream_info(name)
        except NotFoundError:
            break
    await jetstream.add_stream(name=again, subjects=[subject])
    was_deleting = not deleting.done()
    await deleting
    try:
        await jetstream.publish(subject, b"message")
        stored = "stored"
    except APIError:
        stored = "refused"
    for connection in connections:
        await connection.close()
    return stored if was_deleting else "too late"


async def main():
    version, url = sys.argv[1:]
    same = await lost(url, "first", "first")
    other = await lost(url, "second", "third")
    print(f"{version}: same name: {same}, another name: {other}")


asyncio.run(main())
PYTHON

for version in 2.9.10 2.15.3; do
  GOPATH=$folder/go GOBIN=$folder/$version GOFLAGS=-modcacherw go install "github.com/nats-io/nats-server/v2@v$version" >go.log 2>&1 ||
    { tail -20 go.log; exit 1; }
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$version/nats-server" -a 127.0.0.1 -p "$port" -js -sd "data-$version" >"server-$version.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 100); do (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  timeout 300 venv/bin/python program.py "$version" "nats://127.0.0.1:$port"
done | tee seen
[ "$(cat seen)" = "$SEEN" ] || { echo "the behaviour has changed"; exit 1; }
