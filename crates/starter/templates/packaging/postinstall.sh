#!/bin/sh
# After an installation, an administrator enables the unit; after an update, a running program is restarted.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # An administrator can have masked it; that is no reason to leave the package half installed.
  systemctl try-restart «app».service || true
fi
