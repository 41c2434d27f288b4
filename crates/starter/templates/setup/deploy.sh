#!/bin/sh
# Builds the images of «project», and rolls them out: deploy/deploy.sh TAG. Written by `kennel setup deploy`.
# `kennel setup ci` sets the variables: REGISTRY, REGISTRY_TYPE, REGISTRY_USER, REGISTRY_PASSWORD, DEPLOY_SERVERS,
# DEPLOY_KNOWN_HOSTS, DEPLOY_SSH_KEY.
set -eu
tag=$1
cd "$(dirname "$0")/.."

case $REGISTRY_TYPE in
  aws) REGISTRY_USER=AWS REGISTRY_PASSWORD=$(aws ecr get-login-password --region "$AWS_REGION") ;;
  # An API token is both.
  digitalocean) REGISTRY_USER=$REGISTRY_PASSWORD ;;
  github) REGISTRY_USER=${REGISTRY_USER:-kennel} ;;
esac

# In memory, for as long as this runs: secrets are on no disk, and in no arguments.
temporary=$(mktemp -d -p /dev/shm)
agent=
trap 'rm -rf "$temporary"; [ -z "$agent" ] || kill "$agent"' EXIT
# Not every shell does that when a signal ends it.
trap 'exit 1' HUP INT TERM
auth=$(printf '%s:%s' "$REGISTRY_USER" "$REGISTRY_PASSWORD" | base64 | tr -d '\n')
docker_config="{\"auths\":{\"${REGISTRY%%/*}\":{\"auth\":\"$auth\"}}}"
printf '%s' "$docker_config" >"$temporary/config.json"
printf '%s\n' "$DEPLOY_KNOWN_HOSTS" >"$temporary/known_hosts"

for app in «applications»; do
  docker build --build-arg APP="$app" --tag "$REGISTRY/$app:$tag" .
  DOCKER_CONFIG=$temporary docker push --quiet "$REGISTRY/$app:$tag"
done

eval "$(ssh-agent -s)" >/dev/null
agent=$SSH_AGENT_PID
# GitLab has it in a file, without the end of the last line, which a key needs.
if [ -f "$DEPLOY_SSH_KEY" ]; then
  { cat "$DEPLOY_SSH_KEY" && echo; } | ssh-add -q -
else
  printf '%s\n' "$DEPLOY_SSH_KEY" | ssh-add -q -
fi

# One server after the other: the rest has the version before until this one is healthy.
for target in $DEPLOY_SERVERS; do
  remote() {
    ssh -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$temporary/known_hosts" -o BatchMode=yes \
      -p "${target##*:}" "${target%:*}" "$@"
  }
  remote 'cat >/opt/«project»/compose.yaml.new' <deploy/compose.yaml
  {
    printf "tag='%s' docker_config='%s'\nexport REGISTRY='%s'\n" "$tag" "$docker_config" "$REGISTRY"
    cat <<'SCRIPT'
set -eu
cd /opt/«project»
DOCKER_CONFIG=$(mktemp -d -p /dev/shm)
export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
trap 'exit 1' HUP INT TERM
printf '%s' "$docker_config" >"$DOCKER_CONFIG/config.json"
before=$(cat tag 2>/dev/null || true)
[ ! -f compose.yaml ] || cp compose.yaml compose.yaml.before
mv compose.yaml.new compose.yaml
start() { TAG=$1 docker compose up --detach --quiet-pull --remove-orphans --wait --wait-timeout 120; }
if start "$tag"; then
  echo "$tag" >tag
  exit
fi
if [ -n "$before" ]; then
  echo "$tag is not healthy; back to $before" >&2
  mv compose.yaml.before compose.yaml
  start "$before"
fi
exit 1
SCRIPT
  } | remote 'sh -s'
done
