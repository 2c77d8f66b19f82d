/* SPDX-License-Identifier: MIT
 *
 * Every trace that is named, in every mode that is named, driven by its own calls: strict answers all of
 * them as recorded, and no mode answers otherwise where strict answers (docs/replay.md).
 *
 *   fixtures MODE[,MODE…] TRACE…
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/modes/play.h"

#define MAX_MODES 8

struct totals {
	size_t calls, diverged, wrong;
};

static void compare(const struct play_trace *trace, const char *mode,
                    const struct play_answers *answers, struct totals *totals)
{
	bool strict = strcmp(mode, "strict") == 0;
	for (size_t i = 0; i < trace->count; i++) {
		const struct play_call *call = &trace->calls[i];
		const struct play_answer *answer = &answers->answers[i];
		totals->calls++;
		totals->diverged += answer->diverged;
		/* A call that did not return has no answer to give. */
		bool wrong = call->returned
		                     ? !answer->diverged &&
		                               (answer->rv != call->rv ||
		                                strcmp(play_said(answers, i), call->said) != 0)
		                     : !answer->diverged;
		if (!wrong && (!strict || !call->returned || !answer->diverged))
			continue;
		totals->wrong++;
		printf("%s:%zu: %s in mode %s: %s 0x%lx %s, recorded 0x%lx %s\n", trace->path,
		       call->line, call->function->name.text, mode,
		       answer->diverged ? "diverged" : "answered", answer->rv,
		       play_said(answers, i), call->rv, call->said);
	}
}

static size_t play(const char *path, char *const *modes, size_t mode_count, const char *report)
{
	struct play_trace trace;
	size_t wrong = 0;
	play_read(&trace, path);
	struct play_answers *answers = play_new_answers(trace.count + 1);
	const struct play_call **calls = calloc(trace.count + 1, sizeof(*calls));
	for (size_t i = 0; calls != NULL && i < trace.count; i++)
		calls[i] = &trace.calls[i];
	for (size_t i = 0; i < mode_count; i++) {
		struct totals totals = { 0 };
		if (!play_replay(path, modes[i], calls, trace.count, report, answers)) {
			printf("%s: in mode %s the replay did not end\n", path, modes[i]);
			totals.wrong++;
		}
		compare(&trace, modes[i], answers, &totals);
		printf("%s: %s: %zu calls, %zu divergences, %zu wrong\n", strrchr(path, '/') + 1,
		       modes[i], totals.calls, totals.diverged, totals.wrong);
		wrong += totals.wrong;
	}
	free(calls);
	return wrong;
}

int main(int argc, char **argv)
{
	char report[] = "/tmp/p11tape-modes-XXXXXX";
	char *modes[MAX_MODES];
	size_t mode_count = 0;
	size_t wrong = 0;
	if (argc < 3)
		play_fail("usage: %s MODE[,MODE…] TRACE…", argv[0]);
	int file = mkstemp(report);
	if (file < 0)
		play_fail("no temporary file");
	close(file);
	for (char *mode = strtok(argv[1], ","); mode != NULL && mode_count < MAX_MODES;
	     mode = strtok(NULL, ","))
		modes[mode_count++] = mode;
	for (int i = 2; i < argc; i++)
		wrong += play(argv[i], modes, mode_count, report);
	unlink(report);
	return wrong == 0 ? 0 : 1;
}
