# Prepares a server for deployments of «project»; it can run again.
set -eu
if ! docker compose version >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io docker-compose-v2 ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io docker-compose-plugin
fi
id '«user»' >/dev/null 2>&1 || useradd --create-home --shell /bin/sh '«user»'
# Who may use Docker can become root: this user deploys, and does nothing else.
usermod --append --groups docker '«user»'
home=$(getent passwd '«user»' | cut -d: -f6)
install -d -m 700 -o '«user»' -g '«user»' "$home/.ssh"
keys=$home/.ssh/authorized_keys
# The last key may have no end of its line.
[ -z "$(tail -c1 "$keys" 2>/dev/null)" ] || echo >>"$keys"
grep -qxF '«key»' "$keys" 2>/dev/null || echo '«key»' >>"$keys"
chown '«user»:«user»' "$keys"
chmod 600 "$keys"
install -d -m 750 -o '«user»' -g '«user»' '/opt/«project»'
