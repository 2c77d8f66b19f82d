#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""nss-trust.py CERTIFICATE: what p11-kit's trust module reads as an NSS trust object for an authority.

Servers' certificates are trusted by it, and as in most of Mozilla's objects CKA_NSS_TRUST_CLIENT_AUTH is not there.
CERTIFICATE is DER. Objects that p11-kit makes of a certificate by itself have all attributes.
"""
import hashlib
import sys


def element(der, at):
    """Where the contents of the element at `at` begin, and where it ends."""
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2:begin], "big")
    return begin, begin + length


def issuer_and_serial(der):
    tbs, _ = element(der, 0)
    at, _ = element(der, tbs)
    parts = []  # version, serialNumber, signature, issuer
    while len(parts) < 4:
        _, end = element(der, at)
        parts.append(der[at:end])
        at = end
    return parts[3], parts[1]


def quoted(data):
    return '"' + "".join(f"%{byte:02x}" for byte in data) + '"'


def main():
    with open(sys.argv[1], "rb") as file:
        der = file.read()
    issuer, serial = issuer_and_serial(der)
    print("[p11-kit-object-v1]\nclass: nss-trust\ntoken: true")
    print(f"issuer: {quoted(issuer)}\nserial-number: {quoted(serial)}")
    print(f"cert-sha1-hash: {quoted(hashlib.sha1(der).digest())}")
    print("trust-server-auth: nss-trusted-delegator\ntrust-email-protection: nss-trusted-delegator")
    print("trust-code-signing: nss-must-verify-trust\ntrust-step-up-approved: false")


if __name__ == "__main__":
    main()
