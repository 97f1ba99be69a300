#!/bin/sh
# Runs a command in the environment that every build shares: one target folder, one compiler, RocksDB as one archive.
#
#   scripts/env.sh cargo test -p holdfast-codec
#
# Cargo compiles again what was built with other values of these, so they are set in this one place.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
export ROCKSDB_LIB_DIR="$CARGO_TARGET_DIR/rocksdb" ROCKSDB_STATIC=1
if command -v clang++ >/dev/null 2>&1; then
    export CC="${CC:-clang}" CXX="${CXX:-clang++}"
fi
# The libclang of PyPI comes without the compiler's own headers.
if [ -d "$root/.tools/libclang/clang/native" ] && [ -z "${LIBCLANG_PATH:-}" ]; then
    export LIBCLANG_PATH="$root/.tools/libclang/clang/native"
    export BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)"
fi
exec "$@"
