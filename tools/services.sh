#!/usr/bin/env bash
# Install the real programs that tests and benchmarks are run against, and say which are there.
# Missing ones are a note at home and a failure where MERGEPOINT_REQUIRE_SERVICES=1 (.ci/run sets it).
set -u
programs=(nginx haproxy wrk h2load chromium git initdb)
packages=(nginx-light haproxy wrk nghttp2-client chromium git postgresql)
found() {
  # Debian keeps PostgreSQL's own programs off PATH, one directory for each version.
  PATH="$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')" command -v "$1" >/dev/null
}
missing=()
for i in "${!programs[@]}"; do
  found "${programs[$i]}" || missing+=("${packages[$i]}")
done
if [ "${#missing[@]}" -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "==> installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || true
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
