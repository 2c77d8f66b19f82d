// SPDX-License-Identifier: MIT

// A program for go.sh: main MODULE LABEL PIN GOROUTINES KEY…
//
// Each goroutine opens a session, finds the private key KEY (they take the keys in turn), reads several of its
// attributes at once, and signs. Goroutines wander between threads as they like. Beside several of them the main
// one generates a key pair: a call that takes so long that others overlap with it. Threads that race and happen
// not to overlap would look like one order.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/miekg/pkcs11"
)

const rounds = 5

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// Returns the slot of the token with the given label, after a word about each slot.
func findSlot(p *pkcs11.Ctx, label string) uint {
	slots, err := p.GetSlotList(true)
	check(err)
	for _, slot := range slots {
		info, err := p.GetTokenInfo(slot)
		check(err)
		mechanisms, err := p.GetMechanismList(slot)
		check(err)
		fmt.Printf("token %q with %d mechanisms\n", info.Label, len(mechanisms))
		if strings.TrimRight(info.Label, " \x00") == label {
			return slot
		}
	}
	log.Fatalf("there is no token %s", label)
	return 0
}

func find(p *pkcs11.Ctx, session pkcs11.SessionHandle, template ...*pkcs11.Attribute) []pkcs11.ObjectHandle {
	check(p.FindObjectsInit(session, template))
	objects, _, err := p.FindObjects(session, 10)
	check(err)
	check(p.FindObjectsFinal(session))
	return objects
}

// Signs with one key; returns what there is to say.
func work(p *pkcs11.Ctx, slot uint, number int, label string) string {
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	check(err)
	defer p.CloseSession(session)
	keys := find(p, session, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label))
	if len(keys) != 1 {
		log.Fatalf("%d keys %s", len(keys), label)
	}
	attributes, err := p.GetAttributeValue(session, keys[0], []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil),
		pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, nil),
	})
	check(err)
	said := fmt.Sprintf("%d:", number)
	for _, attribute := range attributes {
		said += fmt.Sprintf(" %x", attribute.Value)
	}
	mechanism := uint(pkcs11.CKM_SHA256_RSA_PKCS)
	if attributes[2].Value[0] == pkcs11.CKK_EC {
		mechanism = pkcs11.CKM_ECDSA
	}
	for round := 0; round < rounds; round++ {
		hash := sha256.Sum256([]byte(fmt.Sprintf("goroutine %d, round %d", number, round)))
		check(p.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, keys[0]))
		signature, err := p.Sign(session, hash[:])
		check(err)
		said += fmt.Sprintf("\n%d: signature %x", number, signature)
	}
	return said
}

func generate(p *pkcs11.Ctx, session pkcs11.SessionHandle) {
	public := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, 3072),
		pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})}
	private := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false)}
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)}
	_, _, err := p.GenerateKeyPair(session, mechanism, public, private)
	check(err)
}

func main() {
	log.SetFlags(0)
	p := pkcs11.New(os.Args[1])
	if p == nil {
		log.Fatalf("cannot load %s", os.Args[1])
	}
	check(p.Initialize())
	defer p.Destroy()
	defer p.Finalize()
	slot := findSlot(p, os.Args[2])
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	check(err)
	defer p.CloseSession(session)
	check(p.Login(session, pkcs11.CKU_USER, os.Args[3]))
	defer p.Logout(session)
	fmt.Printf("%d certificates\n", len(find(p, session, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE))))

	goroutines, err := strconv.Atoi(os.Args[4])
	check(err)
	start := make(chan bool)
	said := make([]chan string, goroutines)
	for i := range said {
		said[i] = make(chan string, 1)
		go func(i int) {
			<-start
			said[i] <- work(p, slot, i, os.Args[5+i%(len(os.Args)-5)])
		}(i)
	}
	close(start)
	if goroutines > 1 {
		generate(p, session)
	}
	for i := range said {
		fmt.Println(<-said[i])
	}
}
