#!/usr/bin/env bash
# Makes sure that this machine can do WHAT, and installs from Debian's packages what is missing.
#
#   build   a C compiler and a Rust toolchain at least as new as Cargo.toml asks for
#   demo    build, and the MQTT broker mosquitto
#   test    demo, and the programs of others that are tested against: libcoap's and mosquitto's
#           clients from Debian, aiocoap from PyPI (into a folder beside the build results)
#   check   build, and rustfmt, clippy, cargo-deny
#   fuzz    build, and a C++ compiler for libFuzzer
#   arm64   build, and a linker and the Rust library for arm64
#
# Guarantees: changes nothing and needs no root when all is there; says what is missing and how to
# get it when it can't go on. Does not: use rustup, change package sources, or touch what it finds.
# Tested on Debian 12, amd64 and arm64.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/toolchain.sh"

missing=()   # Debian packages to install
reasons=()   # what each is for

say() { echo "setup: $*" >&2; }

fail() {
    say "cannot go on: $1"
    shift
    printf 'setup:   %s\n' "$@" >&2
    exit 1
}

# need PACKAGES… -- what it is for
need() {
    while [ "$1" != -- ]; do
        missing+=("$1")
        shift
    done
    shift
    reasons+=("$*")
}

# The candidate version of a package, without epoch and Debian revision.
offered() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([0-9.]*\).*/\1/p'
}

compiles() {
    printf '#include <stdlib.h>\n' | "$1" -E -x "$2" - >/dev/null 2>&1
}

# component NAME PACKAGE: a part of the toolchain; it has to be of the toolchain's own origin.
component() {
    local folder=
    ! use_rust || folder=$(dirname "$(command -v rustc)")
    case $folder in
    '' | /usr/bin) need "$2" -- "$1 for Debian's Rust" ;;
    *) fail "the Rust toolchain in $folder lacks $1." "Install it with: rustup component add $1" ;;
    esac
}

find_build() {
    compiles cc c || need gcc libc6-dev -- "a C compiler (for SQLite, and to link)"
    [ -e /etc/ssl/certs/ca-certificates.crt ] ||
        need ca-certificates -- "certificates (to fetch crates)"
    use_rust || need rustc-web cargo-web -- "Rust $(msrv) or newer${found_rust:+ (found $found_rust)}"
}

# has PROGRAM: also where only root has it on the PATH.
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

find_demo() {
    find_build
    has mosquitto || need mosquitto -- "the MQTT broker mosquitto"
}

find_test() {
    find_demo
    has mosquitto_pub || need mosquitto-clients -- "mosquitto's clients"
    has coap-client-openssl || need libcoap3-bin -- "libcoap's clients"
    python3 -c 'import ensurepip' 2>/dev/null || need python3-venv -- "Python (for aiocoap)"
}

find_check() {
    find_build
    rustfmt --version >/dev/null 2>&1 || component rustfmt rustfmt-web
    cargo clippy --version >/dev/null 2>&1 || component clippy rust-web-clippy
}

find_fuzz() {
    find_build
    compiles c++ c++ || need g++ -- "a C++ compiler (for libFuzzer)"
}

find_arm64() {
    find_build
    command -v aarch64-linux-gnu-gcc >/dev/null ||
        need gcc-aarch64-linux-gnu libc6-dev-arm64-cross -- "a C compiler and linker for arm64"
    use_rust aarch64-unknown-linux-gnu ||
        need rustc-web cargo-web libstd-rust-web-dev:arm64 -- "Rust's library for arm64"
}

refuse_other_machines() {
    command -v apt-get >/dev/null ||
        fail "missing: ${reasons[*]}." "This is not Debian; install by hand what is missing." \
            "Rust $(msrv) or newer: https://rustup.rs"
    case $(dpkg --print-architecture) in
    amd64 | arm64) ;;
    *) fail "Sluicegate is built on amd64 and arm64, not on $(dpkg --print-architecture)." \
        "Missing: ${missing[*]}" ;;
    esac
}

# Fills `as_root` with what makes a command run as root.
become_root() {
    as_root=(env)
    [ "$(id -u)" = 0 ] && return
    as_root=(sudo env)
    # Without a terminal nobody can type a password.
    [ -t 0 ] || as_root=(sudo -n env)
    command -v sudo >/dev/null && "${as_root[@]}" true && return
    fail "missing: ${missing[*]}; to install them takes root or sudo." \
        "As root: apt-get update && apt-get install ${missing[*]}"
}

apt() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" >&2
}

# Debian's security archive has the new toolchain; a machine without it offers an old one.
refuse_old_rust() {
    case " ${missing[*]} " in *" rustc-web "*) ;; *) return 0 ;; esac
    local version
    version=$(offered rustc-web)
    if [ -z "$version" ] || ! at_least "$version" "$(msrv)"; then
        fail "Rust $(msrv) or newer is needed, this machine's sources offer ${version:-none}." \
            "Debian 12 has it in its security archive. Add to /etc/apt/sources.list:" \
            "deb http://deb.debian.org/debian-security bookworm-security main" \
            "or install it from https://rustup.rs"
    fi
}

install_missing() {
    say "missing: $(printf '%s; ' "${reasons[@]}" | sed 's/; $//')"
    refuse_other_machines
    become_root
    case " ${missing[*]} " in
    *:arm64\ *) "${as_root[@]}" dpkg --add-architecture arm64 ;;
    esac
    say "apt-get update"
    apt update || fail "apt-get update failed (see above)." "Is there a network?"
    refuse_old_rust
    say "apt-get install ${missing[*]}"
    apt install -y --no-install-recommends "${missing[@]}" ||
        fail "apt-get install failed (see above)." "To try by hand: apt-get install ${missing[*]}"
    hash -r
}

# The licences, bans and sources of all crates are read by a tool that Debian does not package.
install_deny() {
    local version=0.20.2
    if PATH="$tools/bin:$PATH" cargo deny --version >/dev/null 2>&1; then
        return
    fi
    say "compiling cargo-deny $version, once for this user, about 4 minutes on 2 cores"
    env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$tools" \
        --version "$version" cargo-deny >&2 ||
        fail "cargo-deny could not be installed (see above)." "Is there a network?"
}

# Into a folder of its own: nothing of the system's Python is touched.
install_aiocoap() {
    local version=0.4.17 place=${CARGO_TARGET_DIR:-target}/python
    if [ "$("$place/bin/python" -c 'import aiocoap.meta as m; print(m.version)' 2>/dev/null)" = "$version" ]; then
        return
    fi
    say "installing aiocoap $version into $place"
    { python3 -m venv --clear "$place" && "$place/bin/pip" install --quiet "aiocoap==$version"; } >&2 ||
        fail "aiocoap could not be installed (see above)." "Is there a network?"
}

what=${1:-build}
case $what in
build | demo | test | check | fuzz | arm64) ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 64
    ;;
esac

found_rust=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || found_rust=
"find_$what"
if [ ${#missing[@]} -gt 0 ]; then
    install_missing
    missing=() reasons=()
    "find_$what"
    [ ${#missing[@]} -eq 0 ] || fail "still missing after the installation: ${reasons[*]}."
fi
case $what in
check) install_deny ;;
test) install_aiocoap ;;
esac
