/* SPDX-License-Identifier: MIT
 *
 * The values of a trace as a person reads them: strace's manner, Cryptoki's names. Works on what
 * the trace says, decoded or not, so that nothing in it stays invisible; never prints a control
 * character.
 *
 *   bytes      "text", or hexadecimal digits; long ones as <256 bytes 3045…>; secrets as <pin-1>
 *   room       [64]; NULL where the length was asked for, and <length 64> as the answer
 *   templates  {CKA_CLASS=CKO_DATA, CKA_ID=01}; being read {CKA_CLASS, CKA_LABEL[64]}; as they were
 *              read {CKA_CLASS: CKO_DATA, CKA_VALUE: unavailable}
 *   others     {field=value}, [element, element], CKF_ONE|CKF_TWO, CKM_AES_GCM{pIv=…}
 */
#ifndef TAPE_DESCRIBE_H
#define TAPE_DESCRIBE_H

#include "core/trace.h"

struct tape_describe {
	size_t limit; /* bytes of a byte string, and elements of a list, that are printed */
	bool lines;   /* every argument, and every entry of a template, on a line of its own */
};

/* Append the inputs of a call: "hSession=2, pData="hello"". */
void tape_describe_in(struct tape_buf *buf, const struct tape_describe *how,
                      const struct tape_item *call);

/* Append the outputs of a call; `call` may be NULL where its first half is not known. */
void tape_describe_out(struct tape_buf *buf, const struct tape_describe *how,
                       const struct tape_item *call, const struct tape_item *back);

/* Append any node, and text without its control characters. */
void tape_describe_node(struct tape_buf *buf, const struct tape_describe *how,
                        const struct tape_node *node);
void tape_describe_text(struct tape_buf *buf, const char *text, size_t length);

/* Append a duration: 812 ns, 3.4 µs, 0.4 ms, 12.3 ms, 1.2 s. */
void tape_describe_duration(struct tape_buf *buf, uint64_t nanoseconds);

#endif
