// SPDX-License-Identifier: MIT
//
// A program for pkcs11js.sh: pkcs11js.js list|sign|generate MODULE LABEL PIN
"use strict";
const ck = require("pkcs11js");

const [task, module_, label, pin] = process.argv.slice(2);
const PRIME256V1 = Buffer.from("06082a8648ce3d030107", "hex");
const p = new ck.PKCS11();

function find(session, template) {
	const found = [];
	p.C_FindObjectsInit(session, template);
	for (let object = p.C_FindObjects(session); object; object = p.C_FindObjects(session))
		found.push(object);
	p.C_FindObjectsFinal(session);
	return found;
}

function only(session, kind, name) {
	const found = find(session, [{ type: ck.CKA_CLASS, value: kind }, { type: ck.CKA_LABEL, value: name }]);
	if (found.length != 1)
		throw new Error(`${found.length} objects ${name}`);
	return found[0];
}

// All there is; SoftHSM2 has its objects in no order.
function list(session, slot) {
	console.log(p.C_GetInfo().libraryDescription, p.C_GetSlotInfo(slot).flags);
	for (const mechanism of p.C_GetMechanismList(slot))
		console.log(mechanism, p.C_GetMechanismInfo(slot, mechanism).maxKeySize);
	const lines = find(session, []).map((object) =>
		p.C_GetAttributeValue(session, object, [{ type: ck.CKA_CLASS }, { type: ck.CKA_LABEL }, { type: ck.CKA_ID }])
			.map((attribute) => attribute.value.toString("hex")).join(" "));
	console.log(lines.sort().join("\n"));
	try {
		p.C_GetAttributeValue(session, only(session, ck.CKO_PRIVATE_KEY, "client"), [{ type: ck.CKA_PRIVATE_EXPONENT }]);
	} catch (error) {
		console.log(error.message);
	}
}

function sign(session) {
	const data = Buffer.from("sign this");
	const kinds = [[{ mechanism: ck.CKM_SHA256_RSA_PKCS }, "client", data],
		[{
			mechanism: ck.CKM_SHA256_RSA_PKCS_PSS,
			parameter: { type: ck.CK_PARAMS_RSA_PSS, hashAlg: ck.CKM_SHA256, mgf: ck.CKG_MGF1_SHA256, saltLen: 32 },
		}, "client", data],
		[{ mechanism: ck.CKM_ECDSA }, "client-ec", Buffer.alloc(32, 1)]];
	for (const [mechanism, name, text] of kinds) {
		p.C_SignInit(session, mechanism, only(session, ck.CKO_PRIVATE_KEY, name));
		const signature = p.C_Sign(session, text, Buffer.alloc(512));
		p.C_VerifyInit(session, mechanism, only(session, ck.CKO_PUBLIC_KEY, name));
		console.log(name, signature.length, p.C_Verify(session, text, signature));
	}
	p.C_DigestInit(session, { mechanism: ck.CKM_SHA256 });
	p.C_DigestUpdate(session, data);
	console.log(p.C_DigestFinal(session, Buffer.alloc(64)).toString("hex"));
	console.log(p.C_GenerateRandom(session, Buffer.alloc(16)).length);
}

// Calls that the module answers on a thread of Node's pool, one after the other.
async function generate(session) {
	const keys = await p.C_GenerateKeyPairAsync(session, { mechanism: ck.CKM_EC_KEY_PAIR_GEN },
		[{ type: ck.CKA_TOKEN, value: true }, { type: ck.CKA_LABEL, value: "new" }, { type: ck.CKA_EC_PARAMS, value: PRIME256V1 }],
		[{ type: ck.CKA_TOKEN, value: true }, { type: ck.CKA_LABEL, value: "new" }, { type: ck.CKA_SIGN, value: true }]);
	p.C_SignInit(session, { mechanism: ck.CKM_ECDSA }, keys.privateKey);
	console.log((await p.C_SignAsync(session, Buffer.alloc(32), Buffer.alloc(128))).length);
	p.C_DestroyObject(session, keys.privateKey);
	const key = await p.C_GenerateKeyAsync(session, { mechanism: ck.CKM_AES_KEY_GEN }, [
		{ type: ck.CKA_TOKEN, value: false }, { type: ck.CKA_VALUE_LEN, value: 32 },
		{ type: ck.CKA_ENCRYPT, value: true }, { type: ck.CKA_DECRYPT, value: true }]);
	const cbc = { mechanism: ck.CKM_AES_CBC_PAD, parameter: Buffer.alloc(16) };
	p.C_EncryptInit(session, cbc, key);
	const secret = await p.C_EncryptAsync(session, Buffer.from("secret"), Buffer.alloc(64));
	p.C_DecryptInit(session, cbc, key);
	console.log((await p.C_DecryptAsync(session, secret, Buffer.alloc(64))).toString());
}

async function main() {
	p.load(module_);
	p.C_Initialize();
	try {
		const slot = p.C_GetSlotList(true).find((one) => p.C_GetTokenInfo(one).label.trim() == label);
		const session = p.C_OpenSession(slot, ck.CKF_SERIAL_SESSION | ck.CKF_RW_SESSION);
		p.C_Login(session, ck.CKU_USER, pin);
		await { list, sign, generate }[task](session, slot);
		p.C_Logout(session);
		p.C_CloseSession(session);
	} catch (error) {
		console.log(error.message);
		process.exitCode = 1;
	}
	p.C_Finalize();
}

main();
