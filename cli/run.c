/* SPDX-License-Identifier: MIT */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

bool tape_run_has(char **arguments, const char *place)
{
	for (; *arguments != NULL; arguments++)
		if (strstr(*arguments, place) != NULL)
			return true;
	return false;
}

static char *replace(const char *text, const char *place, const char *path)
{
	size_t length = strlen(text);
	size_t place_length = strlen(place);
	size_t path_length = strlen(path);
	for (const char *at = text; (at = strstr(at, place)) != NULL; at += place_length)
		length += path_length;
	char *copy = malloc(length + 1);
	char *to = copy;
	if (copy == NULL)
		return NULL;
	for (const char *at; (at = strstr(text, place)) != NULL; text = at + place_length) {
		to = mempcpy(to, text, (size_t)(at - text));
		to = mempcpy(to, path, path_length);
	}
	memcpy(to, text, strlen(text) + 1);
	return copy;
}

char **tape_run_arguments(char **arguments, const char *place, const char *path)
{
	size_t count = 0;
	while (arguments[count] != NULL)
		count++;
	char **copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy != NULL && i < count; i++) {
		copy[i] = replace(arguments[i], place, path);
		if (copy[i] == NULL) {
			tape_run_free(copy);
			return NULL;
		}
	}
	return copy;
}

void tape_run_free(char **arguments)
{
	for (char **argument = arguments; argument != NULL && *argument != NULL; argument++)
		free(*argument);
	free(arguments);
}

/* ---- running --------------------------------------------------------------------------------- */

static volatile sig_atomic_t child; /* process number, once it runs */

static void pass_on(int number)
{
	int saved = errno;
	kill((pid_t)child, number);
	errno = saved;
}

/* What we do with a signal while the program runs. */
static const struct {
	int number;
	void (*handler)(int);
} while_running[] = {
	{ SIGINT, SIG_IGN }, /* the terminal sends them to the program too */
	{ SIGQUIT, SIG_IGN }, { SIGTERM, pass_on }, { SIGHUP, pass_on },
	{ SIGCHLD, SIG_DFL }, /* whoever started us may have ignored it: then nobody could wait */
};

static void set_signals(struct sigaction before[TAPE_ARRAY_SIZE(while_running)])
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(while_running); i++) {
		struct sigaction action = { .sa_flags = SA_RESTART };
		action.sa_handler = while_running[i].handler;
		sigaction(while_running[i].number, &action, &before[i]);
	}
}

static void restore_signals(const struct sigaction before[TAPE_ARRAY_SIZE(while_running)])
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(while_running); i++)
		sigaction(while_running[i].number, &before[i], NULL);
}

/* In the child. Comes back only to say why through `to`. */
static void start(char **arguments, const struct tape_variables *variables, int to)
{
	int reason = 0;
	for (size_t i = 0; variables != NULL && i < variables->count && reason == 0; i++)
		if (setenv(variables->list[i].name, variables->list[i].value, 1) != 0)
			reason = errno;
	if (reason == 0) {
		execvp(arguments[0], arguments);
		reason = errno;
	}
	while (write(to, &reason, sizeof(reason)) < 0 && errno == EINTR)
		;
	_exit(127);
}

void tape_variables_set(struct tape_variables *variables, const char *name, const char *value)
{
	if (value == NULL || variables->count == TAPE_ARRAY_SIZE(variables->list))
		return;
	variables->list[variables->count].name = name;
	variables->list[variables->count++].value = value;
}

void tape_variables_set_lines(struct tape_variables *variables, const char *name,
                              struct tape_buf *lines)
{
	if (lines->length != 0 && lines->data[lines->length - 1] != '\0')
		tape_put_char(lines, '\0');
	variables->failed |= lines->failed;
	tape_variables_set(variables, name, lines->length == 0 ? NULL : lines->data);
}

static int wait_for(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return tape_cli_fail("the program cannot be waited for: %s",
			                     strerror(errno));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int tape_run(char **arguments, const struct tape_variables *variables, bool *ret_started)
{
	struct sigaction before[TAPE_ARRAY_SIZE(while_running)];
	sigset_t all;
	sigset_t mask;
	int fds[2];
	int reason = 0;
	*ret_started = false;
	if (variables != NULL && variables->failed)
		return tape_cli_fail("out of memory");
	if (pipe2(fds, O_CLOEXEC) != 0)
		return tape_cli_fail("no pipe: %s", strerror(errno));
	/* Nothing printed so far may be printed by the child again. */
	fflush(NULL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	set_signals(before);
	pid_t pid = fork();
	if (pid == 0) {
		restore_signals(before);
		sigprocmask(SIG_SETMASK, &mask, NULL);
		start(arguments, variables, fds[1]);
	}
	int fork_errno = errno;
	child = (sig_atomic_t)pid;
	close(fds[1]);
	if (pid < 0) {
		restore_signals(before);
		sigprocmask(SIG_SETMASK, &mask, NULL);
		close(fds[0]);
		return tape_cli_fail("%s cannot be started: %s", arguments[0],
		                     strerror(fork_errno));
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	ssize_t got;
	do
		got = read(fds[0], &reason, sizeof(reason));
	while (got < 0 && errno == EINTR);
	close(fds[0]);
	int status = wait_for(pid);
	/* From here on a signal is for us; the number may be another process's already. */
	restore_signals(before);
	if (got == (ssize_t)sizeof(reason)) {
		tape_cli_fail("%s cannot be started: %s", arguments[0], strerror(reason));
		return reason == ENOENT ? 127 : 126;
	}
	*ret_started = true;
	return status;
}
