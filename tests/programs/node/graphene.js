// SPDX-License-Identifier: MIT
//
// A program for pkcs11js.sh: graphene.js MODULE LABEL PIN. graphene-pk11 is what is built on top of pkcs11js.
"use strict";
const graphene = require("graphene-pk11");

const [file, label, pin] = process.argv.slice(2);
const module_ = graphene.Module.load(file, "tested");
module_.initialize();
try {
	const slots = module_.getSlots(true);
	let slot;
	for (let i = 0; i < slots.length; i++)
		if (slots.items(i).getToken().label.trim() == label)
			slot = slots.items(i);
	console.log(slot.getMechanisms().length, "mechanisms");
	const session = slot.open(graphene.SessionFlag.SERIAL_SESSION | graphene.SessionFlag.RW_SESSION);
	session.login(pin);
	// SoftHSM2 has its objects in no order.
	const objects = session.find();
	const lines = [];
	for (let i = 0; i < objects.length; i++)
		lines.push(`${graphene.ObjectClass[objects.items(i).class]} ${objects.items(i).getAttribute("label")}`);
	console.log(lines.sort().join("\n"));

	const digest = session.createDigest("sha256");
	digest.update(Buffer.from("digest "));
	digest.update(Buffer.from("this"));
	console.log(digest.final().toString("hex"));
	const keys = session.generateKeyPair(graphene.KeyGenMechanism.EC,
		{ token: false, verify: true, paramsECDSA: graphene.NamedCurve.getByName("secp256r1").value },
		{ token: false, sign: true });
	const data = Buffer.alloc(32, 7);
	const signature = session.createSign("ECDSA", keys.privateKey).once(data);
	console.log(session.createVerify("ECDSA", keys.publicKey).once(data, signature));
	session.logout();
	session.close();
} finally {
	module_.finalize();
}
