#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""canaries.py [--found] CANARIES FILE…: is any of these secrets in any of these files?

CANARIES has a line for each: a name and the secret in hexadecimal digits; or a name, the word "private" and
a key's file, for all numbers of the key that are secret. Looked for are pieces of eight bytes of it (all of it, where it is shorter): raw, as text that JSON or YAML escaped, in UTF-16, in
hexadecimal digits (also backwards, and of UTF-16), in base64, as decimal numbers. Exit status 1, and a
line for each find, if there is one. With --found: 1 if one of them is nowhere.
"""
import base64
import json
import re
import subprocess
import sys

PIECE = 8
PRIVATE = ("privateExponent", "prime1", "prime2", "exponent1", "exponent2", "coefficient", "priv")


def secrets(path):
    """Names and secrets of the lines of a list."""
    with open(path, encoding="ascii") as lines:
        for line in lines:
            name, *rest = line.split()
            if rest[0] != "private":
                yield name, bytes.fromhex(rest[0])
                continue
            text = subprocess.run(
                ["openssl", "pkey", "-in", rest[1], "-noout", "-text"], check=True, capture_output=True, text=True
            ).stdout
            for field, digits in re.findall(r"^(\w+):\n((?: +[0-9a-f:]+\n)+)", text, re.MULTILINE):
                if field in PRIVATE:
                    yield f"{name}.{field}", bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")


def spellings(piece):
    yield "raw", piece
    yield "hex", piece.hex().encode()
    yield "hex backwards", piece[::-1].hex().encode()
    wide = b"".join(bytes((byte, 0)) for byte in piece)
    yield "UTF-16", wide
    yield "UTF-16BE", b"\0" + wide[:-1]
    yield "UTF-16 in hex", wide[:-1].hex().encode()
    yield "32 bits in hex", "000000".join(f"{byte:02x}" for byte in piece).encode()
    for text in (piece.decode("utf-8", "replace"), piece.decode("latin-1")):
        yield "escaped", json.dumps(text, ensure_ascii=False)[1:-1].encode()
        yield "escaped", json.dumps(text)[1:-1].encode()
    if len(piece) == PIECE:
        for order in ("little", "big"):
            yield "decimal", str(int.from_bytes(piece, order)).encode()
        # Wherever the piece begins among groups of three bytes.
        for shift in range(3):
            yield "base64", base64.b64encode(piece[shift : shift + 6])
            yield "base64url", base64.urlsafe_b64encode(piece[shift : shift + 6])


def pieces(secret):
    last = max(len(secret) - PIECE, 0)
    # Of what is long, some: a file that has it has these.
    step = max(last // 24, 1)
    return {secret[at : at + PIECE] for at in [*range(0, last, step), last]}


def main(arguments):
    wanted = arguments[0] == "--found"
    if wanted:
        arguments = arguments[1:]
    needles = {}
    missing = {}
    for name, secret in secrets(arguments[0]):
        missing[name] = True
        for piece in pieces(secret):
            for how, needle in spellings(piece):
                needles[needle] = (name, how)
    leaks = set()
    for path in arguments[1:]:
        with open(path, "rb") as file:
            content = file.read()
        lower = content.lower()
        for needle, (name, how) in needles.items():
            # Upper-case digits too.
            if needle in content or ("hex" in how and needle in lower):
                missing[name] = False
                leaks.add((name, how, path))
    if wanted:
        for name in (name for name, absent in missing.items() if absent):
            print(f"{name} is nowhere")
        return int(any(missing.values()))
    for name, how, path in sorted(leaks):
        print(f"{name} is in {path} ({how})")
    return int(bool(leaks))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
