/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzzer's function over files, for compilers without libFuzzer: a corpus is an ordinary test.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		size_t room = 1 << 20;
		uint8_t *data = malloc(room);
		if (file == NULL || data == NULL) {
			fprintf(stderr, "%s cannot be read\n", argv[i]);
			free(data);
			return 2;
		}
		size_t size = fread(data, 1, room, file);
		fclose(file);
		/* Whole, and cut in half. */
		LLVMFuzzerTestOneInput(data, size);
		LLVMFuzzerTestOneInput(data, size / 2);
		free(data);
	}
	printf("%d files\n", argc - 1);
	return argc > 1 ? 0 : 2;
}
