#!/bin/sh
# Runs one fuzz target of the codec for so many seconds. Run it through scripts/env.sh.
# The fuzzer needs compiler flags that stable Rust gives only to those who ask for them by name.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
export PATH="$root/.tools/bin:$PATH" RUSTC_BOOTSTRAP=1
cd "$root/codec"
exec cargo fuzz run "$1" -- -max_total_time="$2"
