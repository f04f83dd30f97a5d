#!/bin/sh
# Holds Cargo.lock against the RustSec advisory database. Without a network it takes the copy that this machine has, and
# says how old that is; with neither it says so in a box that nobody overlooks, and fails nobody's build.
set -eu
cd "$(dirname "$0")/.."

deny=${CARGO_DENY:-.tools/checks/bin/cargo-deny}
databases="${CARGO_HOME:-$HOME/.cargo}/advisory-dbs"
# A fetch that asks for a password or hears nothing more must end.
GIT_TERMINAL_PROMPT=0 GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=20
export GIT_TERMINAL_PROMPT GIT_HTTP_LOW_SPEED_LIMIT GIT_HTTP_LOW_SPEED_TIME

if failure=$("$deny" --locked fetch db 2>&1); then
  echo "== Advisories, as published now"
  exec "$deny" --locked check advisories
fi
# The directory alone says nothing: it also holds the lock of a fetch that failed.
for database in "$databases"/*/crates; do
  if [ -d "$database" ]; then
    last=$(git -C "$database" log -1 --format=%cs 2>/dev/null || echo "a day nobody knows")
    echo "== Advisories: no newer database could be fetched; checking against the one of $last in $databases."
    # The check needs the source of every crate in the lock, of those for other systems, too.
    cargo fetch --locked --quiet
    exec "$deny" --locked --offline check advisories
  fi
done
cat <<END
================================================================================
WARNING: ADVISORIES WERE NOT CHECKED.
No crate in Cargo.lock was held against known vulnerabilities: $databases
has no database, and none could be fetched:
$(echo "$failure" | tail -n 3)
Do not release on the word of this run. docs/supply-chain.md says how to bring
a database along: section "Advisories".
================================================================================
END
