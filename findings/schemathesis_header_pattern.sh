#!/usr/bin/env bash
# schemathesis 4.32.5 (PyPI): for an optional header whose pattern needs a character other than letters and digits, such as
# the quotes of an entity tag, the coverage phase makes no valid value. It then takes the first wrong one, `0`, and sends it
# in requests that it counts as valid. A server that refuses `0` with 400, as the document says, fails the check
# `positive_data_acceptance`: "Schema-valid request rejected". The fuzzing phase makes good values of the same pattern.
# Here: an OpenAPI 3.1 document with one operation and the pattern ^"[a-z]+"$ for `If-Match`, and a server that holds to it.
# Seen: coverage ends with 1 and ST202 for `If-Match: 0`; fuzzing ends with 0. Exits non-zero if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q schemathesis==4.32.5 hypothesis==6.170.17 jsonschema_rs==0.60.3

cat >server.py <<'PYTHON'
import json, re
from http.server import BaseHTTPRequestHandler, HTTPServer

PATTERN = '^"[a-z]+"$'
HEADER = {"name": "If-Match", "in": "header", "schema": {"type": "string", "pattern": PATTERN}}
ANSWERS = {"200": {"description": "taken"}, "400": {"description": "refused"}}
DOCUMENT = {
    "openapi": "3.1.0", "info": {"title": "tags", "version": "1"},
    "paths": {"/thing": {"get": {"parameters": [HEADER], "responses": ANSWERS}}},
}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        tag = self.headers.get("If-Match")
        good = self.path == "/openapi.json" or tag is None or re.search(PATTERN, tag)
        body = json.dumps(DOCUMENT if self.path == "/openapi.json" else {}).encode()
        self.send_response(200 if good else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
python3 server.py >port & server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

run() { # run PHASE: what schemathesis writes; ends as it does
  timeout 120 venv/bin/schemathesis --no-color run "http://127.0.0.1:$(cat port)/openapi.json" --phases "$1" \
    --checks positive_data_acceptance --seed 1 --generation-database none --max-examples 50
}
venv/bin/schemathesis --version
if run coverage >coverage; then echo "changed: coverage passes now"; exit 1; fi
grep -E 'ST202|If-Match' coverage
grep -q "If-Match: 0'" coverage || { echo "changed: another value than 0"; cat coverage; exit 1; }
run fuzzing >fuzzing || { echo "changed: fuzzing fails"; cat fuzzing; exit 1; }
grep -E 'generated, ' fuzzing
