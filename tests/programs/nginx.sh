#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# nginx with its key in SoftHSM2, by OpenSSL's engine: the master initialises the module and finds the key; the
# workers, which it forks, sign with what they inherit.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program=nginx
PATH=$PATH:/usr/sbin
need_all nginx curl
need_engine
use_softhsm
make_pki

# Its socket is a file, since it takes no port that the system would choose. The workers need the token's files.
cat >"$work/nginx.conf" <<END
user $(id -un) $(id -gn);
worker_processes 2;
pid pid;
error_log log;
ssl_engine pkcs11;
events {}
http {
	access_log off;
	client_body_temp_path tmp;
	proxy_temp_path tmp;
	fastcgi_temp_path tmp;
	uwsgi_temp_path tmp;
	scgi_temp_path tmp;
	server {
		listen unix:socket ssl;
		ssl_certificate $work/pki/LABEL.crt;
		ssl_certificate_key "engine:pkcs11:URI";
		location / { return 200 "it works\n"; }
	}
}
END

start() { # MODULE LABEL URI [OPTIONS…]
	sed "s|LABEL|$2|; s|URI|$3|" "$work/nginx.conf" >conf
	PKCS11_MODULE_PATH=$1 exec nginx -p . -c conf "${@:4}" 2>&1
}
# Test a configuration, and leave out what differs from process to process.
refuse() { # MODULE LABEL URI
	local status=0
	{ (start "$@" -t) || status=$?; } >printed 2>&1
	sed -E 's/^.*(\[emerg\]) [0-9#]*:/\1/; / Segmentation fault /d' printed
	rm printed
	return $status
}
get() {
	curl --silent --show-error --max-time 20 --cacert "$work/pki/ca.crt" --unix-socket socket https://localhost/ || true
}
# Two requests to each of two new workers: meanwhile the other one is stopped.
ask_workers() { # MASTER
	local workers other i
	for ((i = 0; i < 400; i++)); do
		read -ra workers 2>/dev/null <"/proc/$1/task/$1/children" || true
		[[ ${#workers[@]} != 2 || $asked == *" ${workers[0]} "* ]] || break
		sleep 0.05
	done
	asked+=" ${workers[*]} "
	for other in "${workers[@]}"; do
		kill -STOP "$other"
		while [[ -e /proc/$other && $(<"/proc/$other/stat") != *") T "* ]]; do sleep 0.01; done
		get
		get
		kill -CONT "$other"
	done
}
# Eight requests at once, which the workers divide among them.
ask_together() { # MASTER
	local i gets=()
	await . pid
	for ((i = 0; i < 8; i++)); do
		get &
		gets+=($!)
	done
	wait "${gets[@]}"
}
serve() { # MODULE LABEL URI DAEMON SIGNALS
	local master signal asked=""
	(start "$1" "$2" "$3" -g "daemon $4;") >printed &
	master=$!
	trap 'kill "$(<pid)"' EXIT
	[[ $4 == off ]] || {
		wait "$master"
		await . pid
		master=$(<pid)
	}
	for signal in $5; do
		"${ask:-ask_workers}" "$master"
		kill -"$signal" "$master"
	done
	timeout 20 tail --pid="$master" -f /dev/null
	trap - EXIT
	[[ $4 == on ]] || wait "$master"
}
export -f await fail start get ask_workers ask_together

# Each worker's trace says whose child it is, and how far that one was when it forked two of them.
look_at_workers() { # ROW GENERATIONS
	local dir=$work/rows/$1 row=$1 last forks
	[[ -f $dir/trace.yaml ]] || return 0
	last=$(sed -n 's/^- {"end": .*"last": \([0-9]*\),.*/\1/p' "$dir/trace.yaml")
	forks=$(sed -sn '1s/.*"parent": \([0-9]*\), .*"forked-after": \([0-9]*\)[,}].*/\1 \2/p' "$dir"/trace.[0-9]*.yaml |
		sort -n -k2 | uniq -c)
	awk -v last="$last" -v generations="$2" '
		$1 != 2 || NR > 1 && $2 != parent { bad = 1 }
		{ parent = $2; forked_after = $3 }
		END { exit bad || NR != generations || forked_after != last }' <<<"$forks" ||
		fail "the master came to call $last, and it forked: $forks"
	[[ $(grep -c '"call": "C_Sign",' "$dir"/trace.[0-9]*.yaml | sed 's/.*://' | sort -u) == 2 ]] ||
		fail "a worker did not sign twice"
}

row test -- start {} client "$(uri client)" -t
with client
row rsa "${signs[@]}" "${by[@]}" -- serve {} client "$(uri client)" off QUIT
look_at_workers rsa 1
row ec "${signs[@]}" --key "CKA_LABEL=client-ec,$work/pki/client-ec.key" -- serve {} client-ec "$(uri client-ec)" off TERM
look_at_workers ec 1
row reload "${signs[@]}" "${by[@]}" -- serve {} client "$(uri client)" off "HUP HUP QUIT"
look_at_workers reload 3
ask=ask_together row together "${signs[@]}" "${by[@]}" --no-fixed-point -- serve {} client "$(uri client)" off QUIT
# What found the key has forked the master, and has left.
row daemon "${signs[@]}" "${by[@]}" -- serve {} client "$(uri client)" on QUIT
look_at_workers daemon 1
for case in "wrong-pin $(uri client "$other_pin")" "no-key $(uri nobody)"; do
	GLIBC_TUNABLES=$sure row "${case%% *}" "${crashes[@]}" -- refuse {} client "${case#* }"
done
