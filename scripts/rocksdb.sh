#!/bin/sh
# Compiles RocksDB once for all profiles: $CARGO_TARGET_DIR/rocksdb/librocksdb.a, which scripts/env.sh links everything
# with. Run it through scripts/env.sh. Left alone, cargo would compile the same C++ for each profile.
#
# The archive belongs to a version of librocksdb-sys, its features and the compiler flags; `stamp` beside it says which.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
home=$CARGO_TARGET_DIR/rocksdb
build=$home/build
log=$home/build.log
objects_total=343

main() {
    current && exit 0
    mkdir -p "$home"
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$home/lock"
        flock -n 9 || { say "another build of RocksDB is under way, waiting for it"; flock 9; }
        current && exit 0
    fi
    say "compiling RocksDB from source, once: $(estimate)"
    compile &
    pid=$!
    trap 'kill $pid 2>/dev/null || true; exit 130' INT TERM
    follow "$pid"
    wait "$pid" || { tail -20 "$log" >&2; say "RocksDB did not compile (whole log: $log)"; exit 1; }
    keep
    say "RocksDB is ready: $home/librocksdb.a"
}

say() { echo "rocksdb: $*" >&2; }

current() { [ -f "$home/librocksdb.a" ] && [ "$(stamp)" = "$(cat "$home/stamp" 2>/dev/null)" ]; }

stamp() {
    awk '/^name = "librocksdb-sys"$/ { getline; print "librocksdb-sys " $3 }' "$root/Cargo.lock"
    grep '^rocksdb = ' "$root/Cargo.toml"
    sed '/^#/d' "$root/.cargo/config.toml"
    echo "RUSTFLAGS=${RUSTFLAGS:-}"
}

# About 18 minutes of one core's time.
estimate() {
    cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
    echo "about $(((18 + cores - 1) / cores)) minutes on $cores cores"
}

# In a target folder of its own: no debug information, and nothing of the project is built twice for it.
compile() {
    unset ROCKSDB_LIB_DIR ROCKSDB_STATIC
    cd "$root"
    CARGO_PROFILE_RELEASE_DEBUG=false CARGO_TARGET_DIR=$build \
        exec cargo build --release -p librocksdb-sys >"$log" 2>&1
}

# One line that is rewritten on a terminal, otherwise a line each 15 seconds.
follow() {
    seconds=0
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        if [ -t 2 ]; then
            printf '\rrocksdb: %s of about %s files ' "$(objects)" "$objects_total" >&2
        elif [ $((seconds % 15)) = 0 ]; then
            say "$(objects) of about $objects_total files after $seconds s"
        fi
    done
    if [ -t 2 ]; then echo >&2; fi
}

objects() { find "$build/release/build" -path '*/librocksdb-sys-*' -name '*.o' 2>/dev/null | wc -l | tr -d ' '; }

keep() {
    archive=$(find "$build/release/build" -path '*/librocksdb-sys-*' -name librocksdb.a)
    mv "$archive" "$home/librocksdb.a"
    stamp >"$home/stamp"
    rm -rf "$build"
}

main "$@"
