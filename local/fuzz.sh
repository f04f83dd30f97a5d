#!/bin/sh
# Fuzzes each target, or the one that is named, for a number of seconds: fuzz.sh [TARGET] [SECONDS].
# What it learns stays in fuzz/target/corpora; docs/fuzzing.md tells how that gets into the tree.
set -eu
cd "$(dirname "$0")/.."

target=${1:-}
seconds=${2:-60}
version=0.13.2

if ! cargo +nightly --version >/dev/null 2>&1; then
  echo "Fuzzing needs Rust's nightly compiler beside the stable one: rustup toolchain install nightly --profile minimal" >&2
  exit 1
fi
if ! command -v c++ >/dev/null 2>&1; then
  echo "Please install a C++ compiler first: the fuzzer itself is made with it." >&2
  exit 1
fi
if ! .tools/fuzz/bin/cargo-fuzz --version 2>/dev/null | grep -q "$version"; then
  echo "Installing cargo-fuzz into .tools/fuzz (once) ..." >&2
  cargo install --quiet --locked --version "$version" --root .tools/fuzz cargo-fuzz
fi
PATH="$PWD/.tools/fuzz/bin:$PATH"
# AddressSanitizer watches the C code of OpenSSL and ring, too.
CFLAGS_x86_64_unknown_linux_gnu="-fsanitize=address -fno-omit-frame-pointer"
export PATH CFLAGS_x86_64_unknown_linux_gnu

targets=$(cargo +nightly fuzz list)
if [ -n "$target" ]; then
  if ! echo "$targets" | grep -qx "$target"; then
    echo "There is no target $target, but:" $targets >&2
    exit 1
  fi
  targets=$target
fi
for each in $targets; do
  learnt=fuzz/target/corpora/$each
  mkdir -p "$learnt"
  # A sealed document is a document.
  dictionary=fuzz/dictionaries/$each.dict
  [ -f "$dictionary" ] || dictionary=fuzz/dictionaries/document.dict
  echo "== $each, $seconds s"
  cargo +nightly fuzz run "$each" "$learnt" "fuzz/corpus/$each" -- \
    -max_total_time="$seconds" -dict="$dictionary" -max_len=20000 -timeout=25 -rss_limit_mb=4096 -print_final_stats=1
done
