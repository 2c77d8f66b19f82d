#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Firefox and Chromium, headless: an authority that only a module knows, its trust behind what loses some of it, and a
# client's key in a token. The picture of the page is the result. For ci/browsers, which keeps traces and pictures; not a part of ctest.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
namespaces=(--net)
. "$(dirname "$0")/lib.sh"
need_all ip certutil openssl
ip link set lo up
make_nss
patience=300
export P11TAPE_REPLAY_MODE=lenient MOZ_CRASHREPORTER_DISABLE=1 MOZ_HEADLESS=1

server asks -CAfile "$work/pki/ca.crt" -verify_return_error -Verify 3
asks=$port
server plain
plain=$port
server chained -cert_chain "$work/pki/ca.crt"
chained=$port
printf '<!DOCTYPE html><html><body style="font: 40px monospace">it works</body></html>' >"$work/site/page.html"

# Nothing but the page is to be loaded, and nothing is to happen by chance.
cat >"$work/user.js" <<'END'
user_pref("security.default_personal_cert", "Select Automatically");
user_pref("network.http.speculative-parallel-limit", 0);
user_pref("network.dns.disablePrefetch", true);
user_pref("network.prefetch-next", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.chrome.site_icons", false);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("security.remote_settings.intermediates.enabled", false);
user_pref("security.remote_settings.crlite_filters.enabled", false);
user_pref("security.OCSP.enabled", 0);
user_pref("marionette.port", 0);
END

# A profile with DATABASE, in which MODULE is named. The page's picture is what is left; what a browser prints is its
# own business.
firefox() { # DATABASE MODULE LINES PORT
	rm -rf "$work/profile"
	cp -a "$work/$1" "$work/profile"
	[[ -z $2 ]] || printf '\nlibrary=%s\nname=tested\n%s\n' "$2" "$3" >>"$work/profile/pkcs11.txt"
	cp "$work/user.js" "$work/profile/"
	timeout --signal=KILL 60 "$programs/marionette.py" "$work/profile" "https://localhost:$4/page.html" "$PWD/page.png" \
		2>"$work/firefox.log" || echo "status $?"
}

# Chromium reads the NSS database of its user, and takes the certificate that a policy lets it take.
chromium() { # DATABASE MODULE LINES PORT
	rm -rf "${work:?}/home" "$work/user"
	mkdir -p "$work/home/.pki" "$work/policy/managed" /etc/chromium/policies
	cp -a "$work/$1" "$work/home/.pki/nssdb"
	[[ -z $2 ]] || printf '\nlibrary=%s\nname=tested\n%s\n' "$2" "$3" >>"$work/home/.pki/nssdb/pkcs11.txt"
	echo '{"AutoSelectCertificateForUrls":["{\"pattern\":\"https://localhost\",\"filter\":{}}"]}' >"$work/policy/managed/all.json"
	mountpoint -q /etc/chromium/policies || mount --bind "$work/policy" /etc/chromium/policies
	local sandbox=()
	[[ $(id -u) != 0 ]] || sandbox=(--no-sandbox) # it refuses to have one for root
	timeout --signal=KILL 120 chromium --headless "${sandbox[@]}" --disable-gpu --disable-dev-shm-usage --no-first-run \
		--disable-background-networking --disable-component-update --disable-sync --disable-default-apps \
		--disable-domain-reliability --disable-breakpad --password-store=basic --user-data-dir="$work/user" \
		--window-size=600,300 --screenshot="$PWD/page.png" "https://localhost:$4/page.html" >"$work/chromium.log" 2>&1 ||
		echo "status $?"
	rm -rf "$work/user"
}
export programs
export -f firefox chromium

# All three runs had the page of the server; and without its module a browser has not.
pages() { grep -c 'FILE:page.html' "$work/$1.log" || true; }
had_the_page() { # SERVER
	[[ $(pages "$1") == $(($2 + 3)) ]] || fail "the page was asked for $(($(pages "$1") - $2)) times, not 3"
}
refuses() { # BROWSER
	local before
	before=$(pages plain)
	mkdir -p "$work/refused"
	(cd "$work/refused" && "$1" nss-none '' '' "$plain") >/dev/null 2>&1
	[[ $(pages plain) == "$before" ]] || fail "$1 loads the page without the module"
	echo "ok: $family/$1: refused without the module"
}

# The same authority, of which the module has the trust only, and of that not all: NSS reads several attributes at once,
# and one is not there. Through what loses the others then the page is refused, and again without the module and that.
# The diff of both recordings begins where it was lost. (Chromium looks for authorities, not for their trust alone.)
lost_trust() {
	local trust before status=0
	mkdir -p "$work/store/anchors" "$work/store/blocklist"
	"$programs/../tools/nss-trust.py" "$work/pki/ca.der" >"$work/store/anchors/authority.p11-kit"
	trust="parameters=paths='$work/store'"$'\n'NSS=trustOrder=100
	before=$(pages chained)
	P11TAPE_ROWS='*' row firefox-trust "${from[@]}" --cut -- firefox nss-none {} "$trust" "$chained"
	had_the_page chained "$before"
	before=$(pages chained)
	export MUTANT=partial_reads_lost MUTANT_MODULE=$module
	use_module 'what loses results' "$P11TAPE_BUILD_DIR/tests/mutant-shim.so" "$module"
	P11TAPE_ROWS='*' row firefox-lost "${from[@]}" --cut --absent "$MUTANT_MODULE" -- firefox nss-none {} "$trust" "$chained"
	[[ $(pages chained) == "$before" ]] || fail 'Firefox loads the page though trust attributes are lost'
	cd "$work/rows"
	grep -qx 'insecure certificate SEC_ERROR_[A-Z_]*' firefox-lost/direct.out || fail "Firefox says: $(<firefox-lost/direct.out)"
	! cmp -s {firefox-trust,firefox-lost}/direct.files/page.png || fail 'Firefox shows the same picture'
	"$P11TAPE" diff -U 0 firefox-trust/trace.yaml firefox-lost/trace.yaml >firefox-lost/diff.out || status=$?
	[[ $status == 1 ]] || fail "diff ended with $status"
	grep -m 1 '^@@' firefox-lost/diff.out | grep -q ' C_GetAttributeValue: .*CKA_NSS_CERT_SHA1_HASH' ||
		fail "diff does not name the call: $(head -n 3 firefox-lost/diff.out)"
	cd - >/dev/null
	echo "ok: $family/firefox: refused where trust attributes are lost, and diff says where"
}

# A trace in parts, read while Firefox writes it: each part at any moment, but one that was only just made.
read_meanwhile() {
	local part status times=0
	mkdir "$work/live"
	cd "$work/live"
	"$P11TAPE" record --rotate 4K -o live.yaml -- "$BASH" -c 'firefox "$@"' shell nss-none "$module" "$anchors" "$plain" &
	while kill -0 $! 2>/dev/null; do
		for part in *.yaml; do
			[[ -s $part ]] || continue
			status=0
			"$P11TAPE" validate "$part" >said 2>&1 || status=$?
			[[ $status == 0 ]] || { [[ $status == 1 ]] && grep -q ', the end is missing$' said; } ||
				fail "$part, while it is written: $(<said)"
			"$P11TAPE" show "$part" >shown 2>said || fail "$part, while it is written: $(<said)"
			times=$((times + 1))
		done
	done
	wait $! || fail "Firefox, recorded in parts: $(<"$work/firefox.log")"
	[[ -e live.part4.yaml && $times -gt 20 ]] || fail "$times times read: $(ls)"
	cd - >/dev/null
	echo "ok: $family/firefox: its trace was read $times times while it was written"
}

anchors="parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100
for browser in firefox chromium; do
	# shellcheck disable=SC2053 # a pattern
	[[ $browser == ${P11TAPE_ROWS:-*} ]] || continue
	program=$browser
	from=(--from "$(command -v firefox-esr)")
	[[ $browser == firefox ]] || from=(--from "$(command -v chromium)")

	# An authority that is nowhere else: with the module the page loads, without it is refused.
	use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
	before=$(pages plain)
	P11TAPE_ROWS='*' row "$browser-anchors" "${from[@]}" --cut -- "$browser" nss-none {} "$anchors" "$plain"
	had_the_page plain "$before"
	refuses "$browser"

	if [[ $browser == firefox ]]; then
		read_meanwhile
		lost_trust
	fi

	# A client's certificate and key in SoftHSM2, behind what logs in: there is nobody to ask for a PIN.
	make_token
	export LOGIN_MODULE=$softhsm LOGIN_PIN=$user_pin
	use_module 'SoftHSM2, logged in' "$P11TAPE_BUILD_DIR/tests/login-shim.so" "$softhsm"
	before=$(pages asks)
	P11TAPE_ROWS='*' row "$browser-client" "${from[@]}" --cut --key "CKA_ID=11,$work/pki/client.key" --key "CKA_ID=12,$work/pki/client-ec.key" \
		-- "$browser" nss.0 {} '' "$asks"
	had_the_page asks "$before"
done
