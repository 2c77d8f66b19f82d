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

/*
 * A program uses the handles that it is given: lenient mode gives other ones than the recorded ones where
 * these are in use. In the process of a run.
 */
#define MAX_HANDLES 4096

static struct {
	bool object;
	uint64_t recorded, own;
} given[MAX_HANDLES];
static size_t given_count;

static uint64_t own_handle(void *context, enum tape_kind kind, uint64_t recorded)
{
	(void)context;
	for (size_t i = given_count; kind != TAPE_K_SLOT && i-- > 0;)
		if (given[i].recorded == recorded && given[i].object == (kind == TAPE_K_OBJECT))
			return given[i].own;
	return recorded;
}

static void take_handle(bool object, const struct tape_value *recorded, struct tape_value *own)
{
	if (recorded->form != TAPE_V_NUMBER || own->form != TAPE_V_NUMBER ||
	    given_count == MAX_HANDLES)
		return;
	given[given_count].object = object;
	given[given_count].recorded = recorded->number;
	given[given_count++].own = own->number;
	own->number = recorded->number;
}

static void follow(void *context, const struct play_call *call, CK_RV rv, struct tape_value *out)
{
	(void)context;
	for (size_t i = 0; call->returned && rv == CKR_OK && i < call->function->count; i++) {
		enum tape_kind kind = (enum tape_kind)call->function->arguments[i].kind;
		const struct tape_value *recorded = &call->out[i];
		if (kind == TAPE_K_OUT_SESSION || kind == TAPE_K_OUT_OBJECT)
			take_handle(kind == TAPE_K_OUT_OBJECT, recorded, &out[i]);
		if (kind != TAPE_K_OUT_OBJECTS || out[i].form != TAPE_V_LIST ||
		    recorded->form != TAPE_V_LIST || recorded->count != out[i].count)
			continue;
		for (size_t j = 0; j < out[i].count; j++)
			take_handle(true, tape_value_child(recorded, j),
			            &((struct tape_value *)(uintptr_t)out[i].data)[j]);
	}
}

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
	struct play_handles handles = { own_handle, follow, NULL };
	play_read(&trace, path);
	struct play_answers *answers = play_new_answers(trace.count + 1);
	const struct play_call **calls = calloc(trace.count + 1, sizeof(*calls));
	for (size_t i = 0; calls != NULL && i < trace.count; i++)
		calls[i] = &trace.calls[i];
	for (size_t i = 0; i < mode_count; i++) {
		struct totals totals = { 0 };
		if (!play_replay(path, modes[i], calls, trace.count, report, &handles, answers)) {
			printf("%s: in mode %s the replay did not end\n", path, modes[i]);
			totals.wrong++;
		}
		compare(&trace, modes[i], answers, &totals);
		printf("%s: %s: %zu calls, %zu divergences, %zu wrong\n", strrchr(path, '/') + 1,
		       modes[i], totals.calls, totals.diverged, totals.wrong);
		wrong += totals.wrong;
	}
	free(calls);
	play_done(&trace);
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
