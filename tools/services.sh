#!/usr/bin/env bash
# Install the real programs that tests and benchmarks are run against, and say which are there.
# Missing ones are a note at home and a failure where MERGEPOINT_REQUIRE_SERVICES=1 (.ci/run sets it).
set -u
programs=(nginx haproxy wrk h2load chromium git initdb rabbitmq-server redis-server nats-server prosody svn apache2 /usr/lib/apache2/modules/mod_dav_svn.so)
packages=(nginx-light haproxy wrk nghttp2-client chromium git postgresql rabbitmq-server redis-server nats-server prosody subversion apache2 libapache2-mod-svn)
found() {
  # Debian keeps PostgreSQL's own programs off PATH, one directory for each version; a module is a file.
  [ "${1#/}" != "$1" ] && { [ -e "$1" ]; return; }
  PATH="$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')" command -v "$1" >/dev/null
}
install() {
  # Debian starts a service as soon as it is installed; tests start their own, in directories of
  # their own. 101 is "not allowed" of policy-rc.d(8), which a machine may already have an opinion on.
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || true
}
missing=()
for i in "${!programs[@]}"; do
  found "${programs[$i]}" || missing+=("${packages[$i]}")
done
if [ "${#missing[@]}" -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "==> installing ${missing[*]}"
  install "${missing[@]}"
fi
status=0
for i in "${!programs[@]}"; do
  if found "${programs[$i]}"; then
    echo "    real program: ${programs[$i]}"
  else
    echo "    missing: ${programs[$i]} (package ${packages[$i]})"
    [ "${MERGEPOINT_REQUIRE_SERVICES:-0}" = 1 ] && status=1
  fi
done
for tool in node go; do
  if command -v "$tool" >/dev/null; then echo "    real program: $tool"; else
    echo "    missing: $tool (the app written in it is left out)"
    [ "${MERGEPOINT_REQUIRE_SERVICES:-0}" = 1 ] && status=1
  fi
done
exit $status
