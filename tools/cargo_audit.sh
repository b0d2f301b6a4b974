#!/usr/bin/env bash
# Check the edge's dependencies for advisories and licences where the tools are installed; say so where not.
set -eu
cd "$(dirname "$0")/../edge"
if command -v cargo-deny >/dev/null; then
  cargo deny --all-features check licenses bans sources
else
  echo "    cargo-deny is not installed: licences and sources were not checked (cargo install cargo-deny)"
fi
if command -v cargo-audit >/dev/null; then
  cargo audit --quiet
else
  echo "    cargo-audit is not installed: advisories were not checked (cargo install cargo-audit)"
fi
