#!/bin/sh
# The argument is `remove` (deb) or 0 (rpm), unless a newer version follows.
set -e
if [ -d /run/systemd/system ] && { [ "$1" = remove ] || [ "$1" = 0 ]; }; then
  # A masked unit cannot be disabled.
  systemctl disable --now «app».service || true
fi
