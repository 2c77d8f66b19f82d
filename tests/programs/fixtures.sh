#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The recorded programs in fixtures/programs/: whole, canonical, small, and without a PIN.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
shopt -s nullglob
rm -f "$results"
for trace in "$P11TAPE_SOURCE_DIR"/fixtures/programs/*.yaml; do
	row=$(basename "$trace")
	"$P11TAPE" validate "$trace" >"$work/validated" 2>&1 || fail "$(<"$work/validated")"
	"$P11TAPE" fmt --canonical "$trace" >"$work/canonical"
	cmp "$trace" "$work/canonical" || fail "not as fmt --canonical writes it"
	[[ $(stat -c %s "$trace") -lt 200000 ]] || fail "more than 200 KB"
	dir=$work/one
	rm -rf "$dir"
	mkdir "$dir"
	cp "$trace" "$dir/"
	canaries
done
[[ -f $work/validated ]] || fail "there are none"
