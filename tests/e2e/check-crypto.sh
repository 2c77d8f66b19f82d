#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What p11tape check finds in the cryptographic functions of the mock token: nothing, until one of its
# faults is switched on. And that what it compares with libcrypto is compared.
. "$(dirname "$0")/lib.sh"
mock=$P11TAPE_BUILD_DIR/tests/p11tape-mock.so
[[ -e $mock ]] || {
	echo "skipped: the mock was not built"
	exit 77
}
export P11TAPE_PIN=1234

# A fault of tests/mock/faults.def, and a check that finds it.
faults=(
	"query_answers_zero encrypt/query/C_Encrypt-CKM_AES_CBC"
	"query_ends_operation sign/query/C_Sign-CKM_SHA256_HMAC"
	"too_small_length_kept encrypt/too-small/C_Decrypt-CKM_AES_CBC"
	"output_overruns digest/no-room/C_Digest-CKM_SHA256"
	"output_truncated digest/too-small/C_Digest-CKM_SHA256"
	"output_length_kept digest/larger/C_Digest-CKM_SHA256"
	"error_keeps_operation operation/arguments/C_Encrypt-input"
	"success_keeps_operation sign/ends/C_Sign-CKM_SHA256_HMAC"
	"verify_keeps_operation sign/refuse-flipped/C_Verify-CKM_SHA256_HMAC"
	"verify_always_ok sign/refuse-other-data/C_Verify-CKM_ECDSA"
	"single_after_update digest/single-after-update/C_Digest-CKM_SHA256"
	"active_drops_operation encrypt/second-init/C_Encrypt-CKM_AES_CBC"
	"mechanism_flags_ignored operation/not-for/CKM_AES_CBC"
	"permission_before_type sign/wrong-and-forbidden/C_Sign-CKM_RSA_PKCS"
	"usage_ignored encrypt/not-permitted/C_Decrypt-CKM_AES_CBC"
	"bad_key_wrong_code operation/key-data/C_SignInit"
	"bad_mechanism_wrong_code operation/mechanism-unknown/C_VerifyInit"
	"allowed_mechanisms_ignored operation/key-not-allowed/C_EncryptInit"
	"iv_length_unchecked encrypt/parameter-short/C_Encrypt-CKM_AES_CBC"
	"parameter_unchecked encrypt/parameter-stray/C_Encrypt-CKM_AES_ECB"
	"pss_hash_unchecked sign/parameter-other-hash/C_Sign-CKM_SHA256_RSA_PKCS_PSS"
	"padding_unchecked encrypt/damaged/C_Decrypt-CKM_AES_CBC_PAD"
	"partial_block_accepted encrypt/length/C_Encrypt-CKM_AES_ECB"
	"length_range_wrong_code encrypt/length/C_Encrypt-CKM_AES_CBC"
	"signature_length_wrong_code sign/refuse-short/C_Verify-CKM_SHA256_RSA_PKCS"
	"rsa_length_unchecked sign/length/C_Sign-CKM_RSA_PKCS"
	"counter_bits_unchecked encrypt/counter-bits/C_Encrypt-129"
	"counter_wraps encrypt/counter-overflow/C_Encrypt"
	"mac_general_full sign/output-size/C_Sign-CKM_SHA256_HMAC_GENERAL"
	"ecdsa_signature_is_der sign/known-answer/C_Sign-CKM_ECDSA"
	"indigestible_wrong_code digest/key-public"
	"unsaveable_first operation/state-without"
	"dual_query_feeds dual/query/C_DigestEncryptUpdate"
	"dual_needs_one dual/crypt-alone/C_SignEncryptUpdate"
)

for line in "${faults[@]}"; do
	read -r fault check <<<"$line"
	run finding env P11TAPE_MOCK="fault=$fault" "$P11TAPE" check --direct -m "$mock" "$check"
	grep -qE "^(fail|deviation) +$check\$" finding.out || fail "$fault is not found by $check: $(<finding.out)"
done

# Without a fault the same checks pass.
run clean "$P11TAPE" check --direct -m "$mock" "${faults[@]#* }"
grep -q "^${#faults[@]} checks in .*: ${#faults[@]} passed" clean.out || fail "without a fault: $(<clean.out)"

# Where the oracle was built, it is asked: only what libcrypto does not know is not compared.
[[ -e $P11TAPE_BUILD_DIR/lib/p11tape-oracle.so ]] || exit 0
run known "$P11TAPE" check --direct -v -m "$mock" '*/known-answer/*'
! grep -E '^(fail|deviation|error)|built without' known.out || fail "known answers"
[[ $(grep -c '^pass' known.out) -gt 100 ]] || fail "only $(grep -c '^pass' known.out) known answers were compared"
! ldd "$P11TAPE" | grep -q libcrypto || fail "p11tape needs libcrypto"
