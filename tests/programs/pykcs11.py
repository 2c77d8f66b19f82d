# SPDX-License-Identifier: MIT
"""A program for pykcs11.sh: what scripts do with PyKCS11.

usage: pykcs11.py list|sign|generate MODULE LABEL PIN
"""
import hashlib
import sys

from PyKCS11 import (CKA_CLASS, CKA_DECRYPT, CKA_EC_PARAMS, CKA_ENCRYPT, CKA_EXTRACTABLE, CKA_ID, CKA_KEY_TYPE,
                     CKA_LABEL, CKA_MODULUS, CKA_MODULUS_BITS, CKA_PUBLIC_EXPONENT, CKA_SENSITIVE, CKA_SIGN,
                     CKA_TOKEN, CKA_VALUE, CKA_VALUE_LEN, CKA_VERIFY, CKF_RW_SESSION, CKF_SERIAL_SESSION,
                     CKG_MGF1_SHA1, CKG_MGF1_SHA256, CKK_AES, CKK_EC, CKK_RSA, CKM_AES_CBC_PAD, CKM_ECDSA,
                     CKM_EC_KEY_PAIR_GEN, CKM_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA_1,
                     CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY, Mechanism, PyKCS11Error, PyKCS11Lib,
                     RSAOAEPMechanism, RSA_PSS_Mechanism)

PRIME256V1 = bytes.fromhex("06082a8648ce3d030107")


def one(session, *template):
    found = session.findObjects(template)
    assert len(found) == 1, (template, len(found))
    return found[0]


def show_list(library, slot, session):
    """All there is to read; what is refused, too. SoftHSM2 has its objects in no order."""
    print(library.getInfo().libraryDescription, library.getSlotInfo(slot).flags)
    for name in library.getMechanismList(slot):
        print(name, library.getMechanismInfo(slot, name).ulMaxKeySize)
    asked = [CKA_CLASS, CKA_LABEL, CKA_ID, CKA_KEY_TYPE, CKA_SENSITIVE, CKA_MODULUS, CKA_VALUE]
    lines = []
    for found in session.findObjects():
        values = session.getAttributeValue(found, asked)
        lines.append(repr([bytes(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
                           for value in values]))
    print("\n".join(sorted(lines)))


def sign(session):
    """Sign in several ways, and verify."""
    data = b"sign this"
    rsa = (CKA_LABEL, "client"), (CKA_KEY_TYPE, CKK_RSA)
    private, public = (one(session, (CKA_CLASS, kind), *rsa) for kind in (CKO_PRIVATE_KEY, CKO_PUBLIC_KEY))
    pss = RSA_PSS_Mechanism(CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256, 32)
    for mechanism in (Mechanism(CKM_SHA256_RSA_PKCS, None), pss):
        signature = session.sign(private, data, mechanism)
        print(len(signature), session.verify(public, data, signature, mechanism))
    data = hashlib.sha256(data).digest()
    private = one(session, (CKA_CLASS, CKO_PRIVATE_KEY), (CKA_LABEL, "client-ec"))
    public = one(session, (CKA_CLASS, CKO_PUBLIC_KEY), (CKA_LABEL, "client-ec"))
    signature = session.sign(private, data, Mechanism(CKM_ECDSA, None))
    print(len(signature), session.verify(public, data, signature, Mechanism(CKM_ECDSA, None)))
    print(session.verify(public, data[::-1], signature, Mechanism(CKM_ECDSA, None)))
    print(bytes(session.digest(data, Mechanism(CKM_SHA256, None))).hex(), len(session.generateRandom(16)))


def generate(session):
    """Keys of the session and of the token; a changed one, and one that is destroyed."""
    public, private = session.generateKeyPair(
        [(CKA_CLASS, CKO_PUBLIC_KEY), (CKA_TOKEN, True), (CKA_MODULUS_BITS, 2048), (CKA_LABEL, "new"),
         (CKA_PUBLIC_EXPONENT, (1, 0, 1)), (CKA_ENCRYPT, True), (CKA_VERIFY, True), (CKA_ID, (0x31,))],
        [(CKA_CLASS, CKO_PRIVATE_KEY), (CKA_TOKEN, True), (CKA_LABEL, "new"), (CKA_DECRYPT, True), (CKA_SIGN, True),
         (CKA_ID, (0x31,))])
    print(len(session.getAttributeValue(public, [CKA_MODULUS])[0]))
    session.setAttributeValue(private, [(CKA_LABEL, "newer")])
    print(session.getAttributeValue(private, [CKA_LABEL, CKA_SENSITIVE]))
    oaep = RSAOAEPMechanism(CKM_SHA_1, CKG_MGF1_SHA1)
    print(bytes(session.decrypt(private, session.encrypt(public, b"secret", oaep), oaep)))
    session.destroyObject(private)

    public, private = session.generateKeyPair(
        [(CKA_CLASS, CKO_PUBLIC_KEY), (CKA_TOKEN, False), (CKA_EC_PARAMS, PRIME256V1), (CKA_KEY_TYPE, CKK_EC)],
        [(CKA_CLASS, CKO_PRIVATE_KEY), (CKA_TOKEN, False), (CKA_KEY_TYPE, CKK_EC), (CKA_SIGN, True)],
        Mechanism(CKM_EC_KEY_PAIR_GEN, None))
    signature = session.sign(private, bytes(32), Mechanism(CKM_ECDSA, None))
    print(session.verify(public, bytes(32), signature, Mechanism(CKM_ECDSA, None)))

    key = session.generateKey([(CKA_CLASS, CKO_SECRET_KEY), (CKA_KEY_TYPE, CKK_AES), (CKA_VALUE_LEN, 32),
                               (CKA_TOKEN, False), (CKA_ENCRYPT, True), (CKA_DECRYPT, True), (CKA_EXTRACTABLE, True),
                               (CKA_SENSITIVE, False)])
    cbc = Mechanism(CKM_AES_CBC_PAD, bytes(16))
    print(bytes(session.decrypt(key, session.encrypt(key, b"secret", cbc), cbc)))
    print(len(session.getAttributeValue(key, [CKA_VALUE])[0]))


def main():
    task, module, label, pin = sys.argv[1:]
    library = PyKCS11Lib()
    library.load(module)
    slot = next(slot for slot in library.getSlotList(tokenPresent=True)
                if library.getTokenInfo(slot).label.strip("\0 ") == label)
    session = library.openSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
    try:
        session.login(pin)
    except PyKCS11Error as error:
        print(error)
        return
    if task == "list":
        show_list(library, slot, session)
    else:
        {"sign": sign, "generate": generate}[task](session)
    session.logout()
    session.closeSession()


main()
