#!/usr/bin/env bash
# stage.sh NAME COMMAND…: runs one stage of a Makefile target and says how long it took.
#
# Guarantees: COMMAND finds the toolchain that install.sh found; its exit code is passed on. With
# STAGE_TABLE set, a line "seconds, result, name" is added to that file; .ci/run prints it. With
# STAGE_TARGET set, the toolchain is one that builds for that target.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/toolchain.sh"

name=$1
shift
use_rust "${STAGE_TARGET:-}" || true
export PATH="$PATH:$tools/bin"

echo "==> $name" >&2
start=$SECONDS
"$@"
status=$?
seconds=$((SECONDS - start))
result=ok
[ $status -eq 0 ] || result=FAILED
echo "==> $name: $result, $seconds s" >&2
[ -z "${STAGE_TABLE:-}" ] || printf '%6d  %-6s  %s\n' $seconds $result "$name" >>"$STAGE_TABLE"
exit $status
