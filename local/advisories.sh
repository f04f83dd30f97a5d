#!/bin/sh
# Holds Cargo.lock against the RustSec advisory database. Without a network it takes the copy that this machine has, and
# says how old that is; with neither it says that nothing was checked, which fails nobody's build.
set -eu
cd "$(dirname "$0")/.."

deny=${CARGO_DENY:-.tools/checks/bin/cargo-deny}
databases="${CARGO_HOME:-$HOME/.cargo}/advisory-dbs"
# A fetch that asks for a password or hears nothing more must end.
GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=20
export GIT_TERMINAL_PROMPT GIT_HTTP_LOW_SPEED_LIMIT GIT_HTTP_LOW_SPEED_TIME

if "$deny" --locked fetch db >/dev/null 2>&1; then
  echo "== Advisories, as published now"
  exec "$deny" --locked check advisories
fi
# The directory alone says nothing: it also holds the lock of a fetch that failed.
for database in "$databases"/*/crates; do
  if [ -d "$database" ]; then
    last=$(git -C "$database" log -1 --format=%cs 2>/dev/null || echo "a day nobody knows")
    echo "== Advisories: no newer database could be fetched; checking against the one of $last in $databases."
    exec "$deny" --locked --offline check advisories
  fi
done
echo "== Advisories were NOT checked: $databases has no database, and none could be fetched (\`cargo deny fetch db\` says why)."
