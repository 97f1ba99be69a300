#!/bin/sh
# Installs what is missing on this machine, says so, and is silent and quick when nothing is.
#
#   scripts/tools.sh just     the recipe runner, into .tools/bin
#   scripts/tools.sh build    what a build needs beside Rust: clang with libclang, for RocksDB and its bindings
#   scripts/tools.sh lint     rustfmt and clippy
#   scripts/tools.sh bench    the broker mosquitto, to measure beside
#   scripts/tools.sh fuzz     cargo-fuzz, into .tools/bin
#   scripts/tools.sh test     mosquitto's clients, Prometheus, and pytest with paho-mqtt into .tools/python
#
# System packages come through apt-get, as root or with sudo. Where neither works, the exact packages to install
# are named and nothing else happens. Python packages never touch the system's Python.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.tools
requirements=$root/node/tests/clients/requirements.txt

say() { echo "set-up: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

main() {
    case ${1:-} in
    just) need_just ;;
    build) need_rust && need_clang ;;
    lint) need_rust && need_lints ;;
    fuzz) need_rust && need_fuzzer ;;
    bench) need_mosquitto_broker ;;
    test) need_mosquitto && need_prometheus && need_python_packages ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
}

need_just() {
    [ -x "$tools/bin/just" ] && return
    say "installing just into .tools (once)"
    mkdir -p "$tools/bin"
    if pip_install_or_get_pip "$tools/just" rust-just; then
        ln -sf ../just/bin/just "$tools/bin/just"
    elif have cargo; then
        say "pip cannot give it; compiling it with cargo instead, about 2 minutes"
        cargo install --quiet --root "$tools" just
    else
        say "neither pip nor cargo can install just: install just (https://just.systems) and run this again"
        exit 1
    fi
    "$tools/bin/just" --version >/dev/null || { say "the just in .tools does not start"; exit 1; }
}

need_rust() {
    have cargo && return
    say "cargo is not on the PATH: install stable Rust with rustup (https://rustup.rs) and run this again"
    exit 1
}

need_lints() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    have rustup || { say "rustfmt and clippy are missing, and there is no rustup to add them"; exit 1; }
    say "adding rustfmt and clippy to the Rust toolchain (once)"
    rustup component add rustfmt clippy
}

need_fuzzer() {
    have cargo-fuzz || [ -x "$tools/bin/cargo-fuzz" ] && return
    say "compiling cargo-fuzz into .tools (once)"
    cargo install --quiet --locked --root "$tools" cargo-fuzz
}

# bindgen needs libclang and its headers; RocksDB needs a C++ compiler, and clang++ is the faster one.
need_clang() {
    if { have clang++ || have c++; } && have_libclang; then return; fi
    if can_apt; then
        apt_install clang
    elif have c++ && have python3; then
        say "no root here: installing libclang from PyPI into .tools (once)"
        pip_install "$tools/libclang" libclang || refuse clang
    else
        refuse clang
    fi
}

have_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    for path in "$tools"/libclang/clang/native/libclang.* /usr/lib/llvm-*/lib/libclang*.so* \
        /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* /opt/homebrew/opt/llvm/lib/libclang.dylib; do
        [ -e "$path" ] && return
    done
    return 1
}

need_mosquitto() {
    have mosquitto_pub && have mosquitto_sub && return
    if can_apt; then apt_install mosquitto-clients; else refuse mosquitto-clients; fi
}

need_mosquitto_broker() {
    have mosquitto || [ -x /usr/sbin/mosquitto ] && return
    can_apt || refuse mosquitto
    apt_install mosquitto
    no_service mosquitto
}

# It reads what three nodes serve, and tries every query of grafana/ on that.
need_prometheus() {
    have prometheus && have promtool && return
    can_apt || refuse prometheus
    apt_install prometheus
    no_service prometheus
    no_service prometheus-node-exporter
}

# Debian starts what it installs as a service; only the program is wanted.
no_service() {
    if have systemctl; then $sudo systemctl disable --now "$1" >/dev/null 2>&1 || true; fi
}

need_python_packages() {
    cmp -s "$requirements" "$tools/python/requirements.txt" && return
    say "installing pytest and paho-mqtt into .tools (once)"
    rm -rf "$tools/python"
    pip_install_or_get_pip "$tools/python" -r "$requirements" || refuse python3 python3-pip
    cp "$requirements" "$tools/python/requirements.txt"
}

pip_install_or_get_pip() {
    pip_install "$@" && return
    can_apt || return 1
    apt_install python3 python3-pip
    pip_install "$@"
}

# Into a folder of its own, with the system's pip or else the pip of a throw-away venv: a Python that forbids
# installing into itself (PEP 668) allows both.
pip_install() {
    target=$1 && shift
    log=$tools/pip.log
    mkdir -p "$tools"
    if python3 -m pip install --quiet --disable-pip-version-check --target "$target" "$@" >"$log" 2>&1; then
        return
    fi
    if python3 -m venv "$tools/pip" >>"$log" 2>&1 &&
        "$tools/pip/bin/python" -m pip install --quiet --target "$target" "$@" >>"$log" 2>&1; then
        return
    fi
    say "pip could not install $* (details in .tools/pip.log)"
    return 1
}

can_apt() {
    have apt-get || return 1
    [ "$(id -u)" = 0 ] && return
    have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }
}

apt_install() {
    say "installing with apt-get (once): $*"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    mkdir -p "$tools"
    if ! apt_quietly install -y --no-install-recommends "$@"; then
        apt_quietly update && apt_quietly install -y --no-install-recommends "$@" || {
            tail -5 "$tools/apt.log" >&2
            say "apt-get could not install $* (details in .tools/apt.log)"
            exit 1
        }
    fi
}

apt_quietly() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >"$tools/apt.log" 2>&1; }

refuse() {
    say "missing, and this user cannot install packages. On Debian: apt-get install $*"
    exit 1
}

main "$@"
