#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Firefox and Chromium, headless: an authority that only a module knows, and a client's key in a token. The picture of
# the page is the result. For ci/browsers, which keeps traces and pictures; not a part of ctest.
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
END

# A profile with DATABASE, in which MODULE is named. The page's picture is what is left; what a browser prints is its
# own business.
firefox() { # DATABASE MODULE LINES PORT
	rm -rf "$work/profile"
	cp -a "$work/$1" "$work/profile"
	[[ -z $2 ]] || printf '\nlibrary=%s\nname=tested\n%s\n' "$2" "$3" >>"$work/profile/pkcs11.txt"
	cp "$work/user.js" "$work/profile/"
	timeout --signal=KILL 60 firefox-esr --headless --no-remote --profile "$work/profile" --screenshot "$PWD/page.png" \
		--window-size=600,300 "https://localhost:$4/page.html" >"$work/firefox.log" 2>&1 || echo "status $?"
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

	# A client's certificate and key in SoftHSM2, behind what logs in: there is nobody to ask for a PIN.
	make_token
	export LOGIN_MODULE=$softhsm LOGIN_PIN=$user_pin
	use_module 'SoftHSM2, logged in' "$P11TAPE_BUILD_DIR/tests/login-shim.so" "$softhsm"
	before=$(pages asks)
	P11TAPE_ROWS='*' row "$browser-client" "${from[@]}" --cut --key "CKA_ID=11,$work/pki/client.key" --key "CKA_ID=12,$work/pki/client-ec.key" \
		-- "$browser" nss.0 {} '' "$asks"
	had_the_page asks "$before"
done
