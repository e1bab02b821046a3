#!/usr/bin/env bash
# Rebuilds the verifier for browsers and compares it with the committed one.
#
#   wasm.sh            rebuild, compare, fail if they differ
#   wasm.sh --update   rebuild and replace the committed one
#
# Guarantees: the same compiler gives the same bytes from any folder and for any user. With another
# compiler than the committed file was made with it builds and says so, but can't compare; that the
# committed file behaves like the sources is what `cargo test --test verifier` checks everywhere.
# Does not: use rustup; the module's standard library is built from Debian's sources of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

committed=gateway/notary/wasm/verifier.wasm
target=${CARGO_TARGET_DIR:-target}/wasm-verifier
packages=(rustc-web cargo-web rust-web-src lld)

say() { echo "wasm: $*" >&2; }

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat '${Status}' "$package" 2>/dev/null |
        grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install --yes --quiet=2 \
            --no-install-recommends "${missing[@]}" >&2 || {
        say "cannot go on: install ${missing[*]} as root and try again."
        exit 1
    }
fi

# Only Debian's toolchain, whatever else stands on the PATH.
export PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
unset RUSTFLAGS RUSTC_WRAPPER CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
sources=$(rustc --print sysroot)/lib/rustlib/src/rust
export CARGO_TARGET_WASM32V1_NONE_LINKER=wasm-ld
export CARGO_TARGET_WASM32V1_NONE_RUSTFLAGS="\
--remap-path-prefix=$PWD=/sluicegate \
--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo \
--remap-path-prefix=$(readlink -f "$sources")=/rust --remap-path-prefix=$sources=/rust"

cargo rustc --quiet --locked --profile wasm --package sluicegate-notary --lib \
    --crate-type cdylib -Zbuild-std=core,alloc --target wasm32v1-none --target-dir "$target"
built=$target/wasm32v1-none/wasm/sluicegate_notary.wasm
compiler=$(rustc --version)
say "$(stat --format %s "$built") bytes, built with $compiler"

if [ "${1:-}" = --update ]; then
    cp "$built" "$committed"
    chmod 644 "$committed"
    (cd "$(dirname "$committed")" && sha256sum verifier.wasm >verifier.wasm.sha256)
    echo "$compiler" >"$committed.rustc"
    say "replaced $committed"
    exit 0
fi

(cd "$(dirname "$committed")" && sha256sum --check --quiet verifier.wasm.sha256)
if cmp --silent "$built" "$committed"; then
    say "the same as the committed one"
elif [ "$compiler" != "$(cat "$committed.rustc")" ]; then
    say "not compared: the committed one was built with $(cat "$committed.rustc")"
else
    say "the committed one is not what the sources give; run tests/setup/wasm.sh --update"
    exit 1
fi
