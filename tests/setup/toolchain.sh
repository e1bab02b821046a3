# What the setup scripts know about Rust toolchains. Sourced by them, never run.
#
# Guarantees: the oldest fitting Rust is read from Cargo.toml and stands nowhere else; `use_rust`
# puts the first toolchain that fits in front of PATH. Does not: install anything.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Compiled tools that no Debian package offers are kept here, outside of the checkout.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate-ci/tools

# The rust-version of the workspace.
msrv() {
    sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$root/Cargo.toml"
}

# at_least VERSION MINIMUM
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# The version of a folder's rustc; nothing if it does not run (a rustup without toolchain, say).
rust_version() {
    [ -x "$1/rustc" ] && [ -x "$1/cargo" ] && "$1/rustc" --version 2>/dev/null | cut -d ' ' -f 2
}

# Whether the toolchain in a folder has the standard library of a target.
has_target() {
    local libraries
    libraries=$("$1/rustc" --print target-libdir --target "$2" 2>/dev/null) || return 1
    compgen -G "$libraries/libcore-*.rlib" >/dev/null
}

# use_rust [TARGET]: puts the first toolchain that is new enough, and builds for TARGET, in front of
# PATH: the caller's, rustup's, Debian's.
use_rust() {
    local minimum folder version
    minimum=$(msrv)
    for folder in "$(dirname "$(command -v rustc || echo /)")" "$HOME/.cargo/bin" /usr/bin; do
        version=$(rust_version "$folder") || continue
        [ -n "$version" ] && at_least "$version" "$minimum" || continue
        [ -z "${1:-}" ] || has_target "$folder" "$1" || continue
        case "$PATH:" in
        "$folder":*) ;;
        *) export PATH="$folder:$PATH" ;;
        esac
        return 0
    done
    return 1
}
