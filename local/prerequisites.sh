#!/bin/sh
# Says in one sentence what this machine lacks, before anything long begins.
missing=""
for tool in cargo cc perl make; do
  command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
  echo "Please install first:$missing (Rust comes from https://rustup.rs, the others from your system's packages)." >&2
  exit 1
fi
PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Please install Python 3.11 or later as python3, or name it: make PYTHON=/path/to/python3." >&2
  exit 1
fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "Please install Python's venv module (on Debian and Ubuntu the package python3-venv)." >&2
  exit 1
fi
