/* SPDX-License-Identifier: MIT */
#include "suites/runner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/system.h"
#include "core/trace.h"
#include "suites/child.h"

#define MAX_JOBS 64
#define TRACE "trace.yaml"
#define SECOND 1000000000u

/* A place where one check at a time runs. */
struct job {
	pid_t pid; /* 0: free */
	const struct check_row *row;
	struct outcome *outcome; /* shared with the process */
	uint64_t began;
	uint64_t look;  /* when its trace is looked at again */
	uint64_t alive; /* when that had grown */
	off_t written;
	bool hung;
	char directory[64]; /* of its trace and what it prints */
};

/* A check whose calls come back may take so much more time: tokens are slow, and machines busy. */
#define PATIENCE 12
#define LOOKS 4 /* at a check, in the time that it may take */

struct run {
	const struct target *target;
	const struct run_options *options;
	run_report_fn *report;
	void *context;
	const struct check_row *after; /* the check whose remains are swept */
	char directory[40];
	struct job jobs[MAX_JOBS];
	unsigned int job_count;
	sigset_t signals, saved;
	bool found; /* a check did not pass */
};

/* ---- a check's process ----------------------------------------------------------------------- */

/* What the module and cmocka print is kept beside the trace. */
static void turn_output(const struct job *job)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/output", job->directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
}

static void set_environment(const struct job *job, const struct target *target)
{
	extern char **environ;
	char trace[128];
	/* What is set for our modules is not meant for this one. */
	for (char **variable = environ; variable != NULL && *variable != NULL;) {
		char name[128];
		size_t length = strcspn(*variable, "=");
		if (strncmp(*variable, "P11TAPE_", 8) == 0 && length < sizeof(name) &&
		    strncmp(*variable, "P11TAPE_MOCK", 12) != 0) {
			memcpy(name, *variable, length);
			name[length] = 0;
			unsetenv(name);
			variable = environ;
		} else {
			variable++;
		}
	}
	snprintf(trace, sizeof(trace), "%s/" TRACE, job->directory);
	setenv("P11TAPE_MODULE", target->module, 1);
	setenv("P11TAPE_TRACE", trace, 1);
}

/* A check's row, or NULL and one of the two errands: asking the module, sweeping the token. */
static void start(struct run *run, struct job *job, const struct check_row *row,
                  struct target *asked)
{
	const struct rlimit none = { 0, 0 };
	memset(job->outcome, 0, sizeof(*job->outcome));
	job->row = row;
	job->hung = false;
	job->began = tape_clock_monotonic();
	job->alive = job->began;
	job->look = job->began + (uint64_t)run->options->timeout * SECOND / LOOKS;
	job->written = 0;
	fflush(NULL);
	job->pid = fork();
	if (job->pid != 0)
		return;
	/* A group of its own, so that what it starts ends with it. */
	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &none);
	sigprocmask(SIG_SETMASK, &run->saved, NULL);
	turn_output(job);
	set_environment(job, run->target);
	snprintf(child_lock, sizeof(child_lock), "%s/lock", run->directory);
	if (row != NULL)
		child_run(row, run->target, job->outcome);
	else if (asked != NULL)
		child_ask(asked, job->outcome);
	else
		child_sweep(run->after, run->target, job->outcome);
	_exit(0);
}

/* ---- what came out --------------------------------------------------------------------------- */

/* The call that a trace ends in. */
static void find_unreturned(const char *path, char call[64])
{
	struct tape_error error;
	struct tape_reader *reader;
	struct tape_arena arena;
	struct tape_item item;
	uint64_t open = 0;
	call[0] = 0;
	if (tape_reader_open(&reader, path, &error) < 0)
		return;
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	while (tape_reader_next(reader, &arena, &item, &error) > 0) {
		if (item.kind == TAPE_ITEM_CALL) {
			open = item.id;
			snprintf(call, 64, "%s", item.name);
		} else if (item.kind == TAPE_ITEM_RETURN && item.id == open) {
			open = 0;
			call[0] = 0;
		}
		tape_arena_reset(&arena);
	}
	tape_arena_done(&arena);
	tape_reader_close(reader);
}

static void add_crash(struct result *result, const char *format, ...) TAPE_PRINTF(2, 3);

static void add_crash(struct result *result, const char *format, ...)
{
	struct outcome *outcome = &result->outcome;
	va_list arguments;
	if (result->row != NULL && check_needs(result->row, ALLOW_DEATH)) {
		va_start(arguments, format);
		vsnprintf(outcome->notes[0], OUTCOME_TEXT, format, arguments);
		va_end(arguments);
		outcome->note_count += outcome->note_count == 0;
		return;
	}
	outcome->verdict = VERDICT_FAIL;
	if (outcome->finding_count == OUTCOME_FINDINGS)
		outcome->finding_count--;
	struct finding *finding = &outcome->findings[outcome->finding_count++];
	memset(finding, 0, sizeof(*finding));
	finding->verdict = VERDICT_FAIL;
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof(finding->text), format, arguments);
	va_end(arguments);
}

static void judge(struct run *run, const struct job *job, int status, struct result *result)
{
	char path[128];
	const struct outcome *outcome = &result->outcome;
	snprintf(path, sizeof(path), "%s/" TRACE, job->directory);
	if (outcome->closed && WIFEXITED(status) && WEXITSTATUS(status) == 0 && !job->hung)
		return;
	find_unreturned(path, result->call);
	const char *where = result->call[0] != 0         ? result->call
	                    : outcome->calling[0] != 0   ? outcome->calling
	                    : outcome->ended             ? "the end of the check"
	                    : outcome->expectations == 0 ? "what the check needs"
	                                                 : "the check";
	if (job->hung)
		add_crash(result, "%s did not come back within %u seconds", where,
		          run->options->timeout);
	else if (WIFSIGNALED(status) && outcome->overrun != 0)
		add_crash(result, "in %s memory behind a buffer of %zu bytes was touched", where,
		          outcome->overrun);
	else if (WIFSIGNALED(status))
		add_crash(result, "the process died in %s: %s", where, strsignal(WTERMSIG(status)));
	else
		add_crash(result, "the process was ended in %s with status %d", where,
		          WEXITSTATUS(status));
	result->signal = WIFSIGNALED(status) && !job->hung ? WTERMSIG(status) : 0;
}

/* Move a job's traces to where they are kept, or remove them. */
static void clear(struct run *run, const struct job *job, struct result *result)
{
	const struct run_options *options = run->options;
	bool keep = options->evidence != NULL && job->row != NULL &&
	            (options->keep_all || result->outcome.verdict >= VERDICT_DEVIATION);
	char name[CHECK_NAME_SIZE * 2];
	DIR *directory = opendir(job->directory);
	if (directory == NULL)
		return;
	if (job->row != NULL)
		snprintf(name, sizeof(name), "%s.%s", job->row->suite, job->row->name);
	for (char *at = name; job->row != NULL && *at != 0; at++)
		if (*at == '/' || *at == ' ')
			*at = '.';
	for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		char from[sizeof(job->directory) + sizeof(entry->d_name)];
		char to[PATH_MAX];
		const char *rest = entry->d_name + sizeof("trace") - 1;
		bool trace = strncmp(entry->d_name, "trace.", 6) == 0;
		if (entry->d_name[0] == '.')
			continue;
		snprintf(from, sizeof(from), "%s/%s", job->directory, entry->d_name);
		if (keep && trace &&
		    (size_t)snprintf(to, sizeof(to), "%s/%s%s", options->evidence, name, rest) <
		            sizeof(to)) {
			if (strcmp(entry->d_name, TRACE) == 0)
				snprintf(result->trace, sizeof(result->trace), "%s.yaml", name);
			/* Another file system: copying is for those who set TMPDIR so. */
			if (rename(from, to) == 0)
				continue;
		}
		unlink(from);
	}
	closedir(directory);
}

static void finish(struct run *run, struct job *job, int status)
{
	struct result result = { .row = job->row, .outcome = *job->outcome };
	uint64_t now = tape_clock_monotonic();
	result.outcome.took = now - job->began;
	/* Whatever it started. */
	kill(-job->pid, SIGKILL);
	judge(run, job, status, &result);
	clear(run, job, &result);
	job->pid = 0;
	/* What skips does so before it presents one. */
	run->options->pins->presented +=
		result.outcome.presented && result.outcome.verdict != VERDICT_SKIP;
	run->options->pins->forgives |= result.outcome.forgiven;
	run->found |= job->row != NULL && result.outcome.verdict > VERDICT_SKIP;
	if (run->report != NULL && job->row != NULL)
		run->report(run->context, &result);
	else
		*job->outcome = result.outcome;
}

/* Say whether a check's time is up: that of its last call, if it is recorded, and a multiple of it for all. */
static bool is_over(const struct run *run, struct job *job, uint64_t now)
{
	char path[128];
	struct stat status;
	uint64_t limit = (uint64_t)run->options->timeout * SECOND;
	snprintf(path, sizeof(path), "%s/" TRACE, job->directory);
	if (stat(path, &status) == 0 && status.st_size > job->written) {
		job->written = status.st_size;
		job->alive = now;
	}
	job->look = now + limit / LOOKS;
	return now - job->alive >= limit || now - job->began >= PATIENCE * limit;
}

/* Wait for any check to end; kill those whose time is up. */
static void wait_for_one(struct run *run)
{
	for (;;) {
		uint64_t now = tape_clock_monotonic();
		uint64_t next = SECOND;
		bool any = false;
		for (unsigned int i = 0; i < run->job_count; i++) {
			struct job *job = &run->jobs[i];
			int status;
			if (job->pid == 0)
				continue;
			if (waitpid(job->pid, &status, WNOHANG) == job->pid) {
				finish(run, job, status);
				any = true;
			} else if (now >= job->look && is_over(run, job, now)) {
				job->hung = true;
				kill(-job->pid, SIGKILL);
				kill(job->pid, SIGKILL);
			} else if (job->look > now && job->look - now < next) {
				next = job->look - now;
			}
		}
		if (any)
			return;
		struct timespec patience = { (time_t)(next / SECOND), (long)(next % SECOND) };
		sigtimedwait(&run->signals, NULL, &patience);
	}
}

/* ---- the run --------------------------------------------------------------------------------- */

static int open_lock(const struct run *run)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/lock", run->directory);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static int begin(struct run *run, struct tape_error *error)
{
	const char *temporary = getenv("TMPDIR");
	if (temporary == NULL || strlen(temporary) > 16)
		temporary = "/tmp";
	snprintf(run->directory, sizeof(run->directory), "%s/p11tape-XXXXXX", temporary);
	if (mkdtemp(run->directory) == NULL)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "no directory can be made in %s: %s",
		                      temporary, strerror(errno));
	sigemptyset(&run->signals);
	sigaddset(&run->signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &run->signals, &run->saved);
	run->job_count = run->options->jobs < MAX_JOBS ? run->options->jobs : MAX_JOBS;
	int lock = open_lock(run);
	if (lock < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "%s: %s", run->directory,
		                      strerror(errno));
	close(lock);
	for (unsigned int i = 0; i < run->job_count; i++) {
		struct job *job = &run->jobs[i];
		snprintf(job->directory, sizeof(job->directory), "%s/%u", run->directory, i);
		job->outcome = mmap(NULL, sizeof(*job->outcome), PROT_READ | PROT_WRITE,
		                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (job->outcome == MAP_FAILED || mkdir(job->directory, 0700) != 0)
			return tape_error_set(error, TAPE_E_SYSTEM, 0, "%s: %s", job->directory,
			                      strerror(errno));
	}
	return 0;
}

static void end(struct run *run)
{
	for (unsigned int i = 0; i < run->job_count; i++) {
		struct job *job = &run->jobs[i];
		if (job->outcome != NULL && job->outcome != MAP_FAILED)
			munmap(job->outcome, sizeof(*job->outcome));
		rmdir(job->directory);
	}
	char path[64];
	snprintf(path, sizeof(path), "%s/lock", run->directory);
	unlink(path);
	rmdir(run->directory);
	sigprocmask(SIG_SETMASK, &run->saved, NULL);
}

static struct job *free_job(struct run *run)
{
	for (unsigned int i = 0; i < run->job_count; i++)
		if (run->jobs[i].pid == 0)
			return &run->jobs[i];
	return NULL;
}

static bool is_busy(const struct run *run)
{
	for (unsigned int i = 0; i < run->job_count; i++)
		if (run->jobs[i].pid != 0)
			return true;
	return false;
}

static int sweep(struct run *run, const struct check_row *after, struct tape_error *error);

static int start_one(struct run *run, const struct check_row *row, struct target *asked,
                     struct tape_error *error)
{
	struct job *job;
	bool alone = row != NULL && (row->needs & NEED_ALONE) != 0;
	while ((job = free_job(run)) == NULL || (alone && is_busy(run)))
		wait_for_one(run);
	start(run, job, row, asked);
	if (job->pid < 0) {
		job->pid = 0;
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "no process can be made: %s",
		                      strerror(errno));
	}
	while (alone && is_busy(run))
		wait_for_one(run);
	/* What a check leaves in the token is nobody else's: one that died could not clear it away. */
	if (row != NULL && (check_needs(row, NEED_DESTRUCTIVE) || check_needs(row, NEED_PLUG)))
		return sweep(run, row, error);
	return 0;
}

/* Whether one more wrong PIN might lock the token: its flags do not tell, and others count without flags. */
static bool spares_the_pin(const struct run *run, const struct check_row *row, char *reason)
{
	const struct run_pins *pins = run->options->pins;
	if (!check_needs(row, NEED_WRONG_PIN) || pins->forgives ||
	    pins->presented < run->options->wrong_pins)
		return false;
	snprintf(reason, OUTCOME_TEXT,
	         "%u wrong PINs were presented, and the token does not show that it forgets them "
	         "(--wrong-pins)",
	         pins->presented);
	return true;
}

/* No process is made for what is known to be lacking: most tokens list few mechanisms. */
static bool can_be_tried(struct run *run, const struct check_row *row)
{
	struct result result = {
		.row = row, .outcome = { .ended = true, .closed = true, .verdict = VERDICT_SKIP }
	};
	if (!child_lacks(row, run->target, result.outcome.reason) &&
	    !spares_the_pin(run, row, result.outcome.reason))
		return true;
	run->report(run->context, &result);
	return false;
}

static int sweep(struct run *run, const struct check_row *after, struct tape_error *error)
{
	run->after = after;
	int result = start_one(run, NULL, NULL, error);
	while (is_busy(run))
		wait_for_one(run);
	/* No check is alone with a token whose PINs are not those that it was given. */
	for (unsigned int i = 0; i < run->job_count && result == 0; i++)
		if (run->jobs[i].outcome->verdict == VERDICT_ERROR && run->jobs[i].row == NULL)
			result = tape_error_set(error, TAPE_E_SYSTEM, 0, "after %s%s%s: %s",
			                        after == NULL ? "all checks" : after->suite,
			                        after == NULL ? "" : "/",
			                        after == NULL ? "" : after->name,
			                        run->jobs[i].outcome->reason);
	return result;
}

int run_checks(const struct check_row *const *rows, size_t count, const struct target *target,
               const struct run_options *options, run_report_fn *report, void *context,
               struct tape_error *error)
{
	struct run run = {
		.target = target, .options = options, .report = report, .context = context
	};
	int result = begin(&run, error);
	for (int alone = 0; alone < 2; alone++)
		for (size_t i = 0; i < count && result == 0 && !(options->first && run.found); i++)
			if (((rows[i]->needs & NEED_ALONE) != 0) == (alone != 0) &&
			    can_be_tried(&run, rows[i]))
				result = start_one(&run, rows[i], NULL, error);
	while (is_busy(&run))
		wait_for_one(&run);
	/* Some modules keep session objects as if they were token objects. */
	if (result == 0 && target->has_token)
		result = sweep(&run, NULL, error);
	end(&run);
	return result;
}

int run_ask(struct target *target, const struct run_options *options, struct tape_error *error)
{
	struct run_options alone = *options;
	struct run run = { .target = target, .options = &alone };
	struct target *asked = mmap(NULL, sizeof(*asked), PROT_READ | PROT_WRITE,
	                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (asked == MAP_FAILED)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	alone.jobs = 1;
	*asked = *target;
	int result = begin(&run, error);
	if (result == 0)
		result = start_one(&run, NULL, asked, error);
	if (result == 0)
		wait_for_one(&run);
	if (result == 0) {
		const struct outcome *outcome = run.jobs[0].outcome;
		*target = *asked;
		if (outcome->verdict == VERDICT_FAIL)
			snprintf(target->trouble, sizeof(target->trouble), "%s",
			         outcome->findings[0].text);
		else if (outcome->reason[0] != 0)
			snprintf(target->trouble, sizeof(target->trouble), "%s", outcome->reason);
	}
	end(&run);
	munmap(asked, sizeof(*asked));
	return result;
}
