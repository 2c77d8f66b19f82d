/* SPDX-License-Identifier: MIT */
#include "recorder/tape_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "recorder/calendar.h"
#include "recorder/tell.h"

/* How many names are tried before we give up. */
#define MAX_NAMES 10000

/* Descriptors go at or above this, where programs do not look for them and closing loops end early. */
#define HIGH_DESCRIPTOR 1000

/* A header is looked for in this much of an existing file, and an end in this much of its tail. */
#define HEADER_SIZE ((size_t)32 * 1024)
#define TAIL_SIZE ((size_t)4 * 1024)

/* How long a file may stay empty whose creator is about to write the header. */
#define BIRTH_MS 50

static const char header_begin[] = "- {\"p11tape\": ";
static const char end_begin[] = "- {\"end\": ";

/* ---- what files are recognised by ------------------------------------------------------------ */

void tape_put_process(struct tape_buf *buf, const struct tape_origin *origin)
{
	TAPE_PUT(buf, "\"process\": {\"program\": ");
	tape_put_quoted_lossy(buf, origin->program, strlen(origin->program));
	TAPE_PUT(buf, ", \"pid\": ");
	tape_put_decimal(buf, (uint64_t)origin->pid);
	TAPE_PUT(buf, ", \"start\": ");
	tape_put_decimal(buf, origin->start);
	TAPE_PUT(buf, ", ");
}

void tape_put_module(struct tape_buf *buf, const struct tape_origin *origin)
{
	TAPE_PUT(buf, "\"module\": {\"path\": ");
	tape_put_quoted_lossy(buf, origin->module, strlen(origin->module));
}

void tape_put_end(struct tape_buf *buf, const char *why, const struct tape_part *part)
{
	tape_put_text(buf, end_begin);
	tape_put_quoted(buf, why, strlen(why));
	if (part->load > 1) {
		TAPE_PUT(buf, ", \"load\": ");
		tape_put_decimal(buf, part->load);
	}
	TAPE_PUT(buf, ", \"last\": ");
	tape_put_decimal(buf, part->last);
}

/* Memory for a file's opening: too much for a thread's stack. */
struct workspace {
	char name[PATH_MAX];
	char suffix[PATH_MAX];
	char identity[3 * PATH_MAX];
	char head[HEADER_SIZE];
	char tail[TAIL_SIZE];
};

/* What is known of a file that stands where ours should. */
enum whose {
	WHOSE_FOREIGN, /* no trace: nothing of ours */
	WHOSE_OTHER,   /* another process's trace, or one that cannot be continued */
	WHOSE_MODULE,  /* this process's, of another module */
	WHOSE_OURS,    /* written by this process for this module, which was unloaded since */
};

/* Say whether `put` spells what stands somewhere in the text. */
static bool contains(const char *text, size_t length, struct workspace *work,
                     void (*put)(struct tape_buf *, const struct tape_origin *),
                     const struct tape_origin *origin)
{
	struct tape_buf wanted;
	tape_buf_init(&wanted, work->identity, sizeof(work->identity), sizeof(work->identity));
	put(&wanted, origin);
	return !wanted.failed && memmem(text, length, wanted.data, wanted.length) != NULL;
}

static bool number_behind(const char *text, size_t length, const char *key, uint64_t *ret_number)
{
	const char *at = memmem(text, length, key, strlen(key));
	if (at == NULL)
		return false;
	uint64_t number = 0;
	for (at += strlen(key); at < text + length && *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	*ret_number = number;
	return true;
}

/* Find out by the last line how the part before ended. Only an unloaded module is loaded again. */
static bool find_end(int fd, off_t size, char *tail, struct tape_part *ret_part)
{
	static const char unload[] = "- {\"end\": \"unload\"";
	off_t from = size > (off_t)TAIL_SIZE ? size - (off_t)TAIL_SIZE : 0;
	ssize_t got = pread(fd, tail, TAIL_SIZE, from);
	if (got <= 1 || from + got != size || tail[got - 1] != '\n')
		return false;
	const char *newline = memrchr(tail, '\n', (size_t)got - 1);
	const char *line = newline == NULL ? tail : newline + 1;
	size_t length = (size_t)(tail + got - line);
	uint64_t load = 1;
	if (length < sizeof(unload) || memcmp(line, unload, sizeof(unload) - 1) != 0)
		return false;
	number_behind(line, length, "\"load\": ", &load);
	ret_part->load = (unsigned int)load + 1;
	return number_behind(line, length, "\"last\": ", &ret_part->last);
}

/* Read the beginning of a file, waiting a little for one that is just being born. */
static size_t read_head(int fd, char *head, size_t size)
{
	for (unsigned int ms = 0;; ms++) {
		ssize_t got = pread(fd, head, size, 0);
		if (got != 0 || ms == BIRTH_MS)
			return got < 0 ? 0 : (size_t)got;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static enum whose whose_header(struct workspace *work, size_t length,
                               const struct tape_origin *origin)
{
	static const char block_begin[] = "- p11tape: ";
	const char *head = work->head;
	if (length == 0)
		return WHOSE_OTHER;
	if (length >= sizeof(block_begin) &&
	    memcmp(head, block_begin, sizeof(block_begin) - 1) == 0)
		return WHOSE_OTHER;
	if (length < sizeof(header_begin) ||
	    memcmp(head, header_begin, sizeof(header_begin) - 1) != 0)
		return WHOSE_FOREIGN;
	const char *newline = memchr(head, '\n', length);
	if (newline == NULL || origin->start == 0)
		return WHOSE_OTHER;
	length = (size_t)(newline - head);
	if (!contains(head, length, work, tape_put_process, origin))
		return WHOSE_OTHER;
	return contains(head, length, work, tape_put_module, origin) ? WHOSE_OURS : WHOSE_MODULE;
}

/* Only a private file of ours is ever written to again. */
static bool is_private(const struct stat *status)
{
	return S_ISREG(status->st_mode) && status->st_uid == geteuid() && status->st_nlink == 1 &&
	       (status->st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

static enum whose examine(const char *path, const struct tape_origin *origin,
                          struct workspace *work, struct tape_part *ret_part,
                          struct stat *ret_status)
{
	enum whose whose = WHOSE_FOREIGN;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		/* It may be gone again, or another user's: only what can be read is called foreign. */
		return errno == ELOOP ? WHOSE_FOREIGN : WHOSE_OTHER;
	if (fstat(fd, ret_status) == 0 && S_ISREG(ret_status->st_mode))
		whose = whose_header(work, read_head(fd, work->head, HEADER_SIZE), origin);
	if (whose == WHOSE_OURS &&
	    (!is_private(ret_status) || !find_end(fd, ret_status->st_size, work->tail, ret_part)))
		whose = WHOSE_OTHER;
	close(fd);
	return whose;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void put_module_name(struct tape_buf *buf, const struct tape_origin *origin)
{
	const char *slash = strrchr(origin->module, '/');
	const char *name = slash == NULL ? origin->module : slash + 1;
	const char *suffix = strstr(name, ".so");
	tape_put(buf, name,
	         suffix == NULL || suffix == name ? strlen(name) : (size_t)(suffix - name));
}

static void put_compact_time(struct tape_buf *buf)
{
	char text[TAPE_TIME_COMPACT];
	tape_put(buf, text, tape_time_compact(text, tape_clock_realtime()));
}

/* Make a path of the pattern. *ret_counts says whether it depends on `counter`. */
static int expand(struct tape_buf *buf, const char *pattern, unsigned int counter,
                  const struct tape_origin *origin, bool *ret_counts, struct tape_error *error)
{
	*ret_counts = false;
	for (const char *at = pattern; *at != 0; at++) {
		if (*at != '%') {
			tape_put_char(buf, *at);
			continue;
		}
		switch (*++at) {
		case 'p':
			tape_put_decimal(buf, (uint64_t)origin->pid);
			break;
		case 'e':
			tape_put_text(buf, origin->program);
			break;
		case 'm':
			put_module_name(buf, origin);
			break;
		case 'n':
			tape_put_decimal(buf, counter);
			*ret_counts = true;
			break;
		case 't':
			put_compact_time(buf);
			break;
		case '%':
			tape_put_char(buf, '%');
			break;
		default:
			return tape_error_set(
				error, TAPE_E_INVALID, 0,
				"P11TAPE_TRACE (%s) has a %% before something else than "
				"p, e, m, n, t or %%",
				pattern);
		}
	}
	return 0;
}

/* Put `suffix` before the last extension of the path's name. */
static void put_with_suffix(struct tape_buf *buf, const char *path, const struct tape_buf *suffix)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	const char *dot = strrchr(name, '.');
	size_t stem = dot == NULL || dot == name ? strlen(path) : (size_t)(dot - path);
	tape_put(buf, path, stem);
	tape_put(buf, suffix->data, suffix->length);
	tape_put_text(buf, path + stem);
}

static int finish_name(struct tape_buf *buf, const char *pattern, struct tape_error *error)
{
	tape_put_char(buf, 0);
	if (!buf->failed)
		return 0;
	return tape_error_set(error, TAPE_E_LIMIT, 0,
	                      "the name that P11TAPE_TRACE (%s) makes is too long", pattern);
}

/* ---- opening --------------------------------------------------------------------------------- */

/*
 * Move a descriptor to `high` or above, out of the way of programs that count on low ones, or close them
 * in a loop.
 */
static int park(int fd, int high)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    limit.rlim_cur <= (rlim_t)high)
		high = (int)limit.rlim_cur - 1;
	for (; high > STDERR_FILENO && high > fd; high = high > 16 ? high / 2 : STDERR_FILENO) {
		int parked = fcntl(fd, F_DUPFD_CLOEXEC, high);
		if (parked < 0)
			continue;
		close(fd);
		return parked;
	}
	if (fd > STDERR_FILENO)
		return fd;
	/* A program without standard streams would find our file in their place. */
	int parked = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int saved = errno;
	close(fd);
	errno = saved;
	return parked;
}

void tape_file_look(struct tape_file *file)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY)
		atomic_fetch_and(&file->careful, ~(unsigned int)TAPE_FILE_LIMITED);
	else
		atomic_fetch_or(&file->careful, TAPE_FILE_LIMITED);
}

static int take(struct tape_file *file, int fd)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		status.st_ino = 0;
	fd = park(fd, HIGH_DESCRIPTOR);
	if (fd < 0)
		return -1;
	file->home = fd;
	file->device = status.st_dev;
	file->inode = status.st_ino;
	atomic_store(&file->careful, 0);
	tape_file_look(file);
	atomic_store(&file->fd, fd);
	return 0;
}

static int cannot_create(const char *path, int why, struct tape_error *error)
{
	return tape_error_set(
		error, TAPE_E_SYSTEM, 0,
		"the trace %s cannot be created: %s; set P11TAPE_TRACE to a file that can", path,
		tape_errno_text(why));
}

/* Open what examine() called ours, making sure that it still is that file. */
static int continue_in(struct tape_file *file, const struct stat *expected)
{
	struct stat status;
	int fd = open(file->path,
	              O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0 && status.st_dev == expected->st_dev &&
	    status.st_ino == expected->st_ino && status.st_size == expected->st_size)
		return take(file, fd);
	close(fd);
	errno = EEXIST;
	return -1;
}

static int create(struct tape_file *file)
{
	int fd = open(file->path,
	              O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
	              0600);
	if (fd < 0)
		return -1;
	/* The program's umask may take from the owner: then nobody could find the file again. */
	fchmod(fd, 0600);
	return take(file, fd);
}

static int make_absolute(struct tape_file *file, struct tape_buf *buf, const char *pattern,
                         struct tape_error *error)
{
	if (pattern[0] == '/')
		return 0;
	if (file->base[0] == 0 && getcwd(file->base, sizeof(file->base)) == NULL) {
		file->base[0] = 0;
		return tape_error_set(
			error, TAPE_E_SYSTEM, 0,
			"the working directory is not known (%s); set P11TAPE_TRACE to an "
			"absolute path",
			tape_errno_text(errno));
	}
	tape_put_text(buf, file->base);
	tape_put_char(buf, '/');
	return 0;
}

/* A pattern with a counter: the first number that is free. */
static int open_counted(struct tape_file *file, const char *pattern,
                        const struct tape_origin *origin, struct tape_error *error)
{
	bool counts;
	for (unsigned int counter = 1; counter <= MAX_NAMES; counter++) {
		struct tape_buf name;
		tape_buf_init(&name, file->path, sizeof(file->path), sizeof(file->path));
		int result = make_absolute(file, &name, pattern, error);
		if (result < 0 ||
		    (result = expand(&name, pattern, counter, origin, &counts, error)) < 0 ||
		    (result = finish_name(&name, pattern, error)) < 0)
			return result;
		if (create(file) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return cannot_create(file->path, errno, error);
}

static int open_named(struct tape_file *file, const struct tape_origin *origin,
                      struct workspace *work, struct tape_part *part, struct tape_error *error)
{
	struct tape_buf suffix;
	bool with_process = false;
	bool with_module = false;
	size_t plain = 0;
	tape_buf_init(&suffix, work->suffix, sizeof(work->suffix), sizeof(work->suffix));
	for (unsigned int counter = 1; counter <= MAX_NAMES; counter++) {
		struct tape_buf name;
		struct stat status;
		tape_buf_init(&name, file->path, sizeof(file->path), sizeof(file->path));
		put_with_suffix(&name, work->name, &suffix);
		int result = finish_name(&name, work->name, error);
		if (result < 0)
			return result;
		if (create(file) == 0)
			return 0;
		if (errno != EEXIST)
			return cannot_create(file->path, errno, error);
		enum whose whose = examine(file->path, origin, work, part, &status);
		if (whose == WHOSE_OURS && continue_in(file, &status) == 0)
			return 0;
		part->load = 1;
		part->last = 0;
		if (whose == WHOSE_FOREIGN && suffix.length == 0)
			return tape_error_set(
				error, TAPE_E_INVALID, 0,
				"%s exists already and is not a trace; remove it or set "
				"P11TAPE_TRACE to another name",
				file->path);
		/* Say what is ours in the name, and count only if even that is taken. */
		suffix.length = plain;
		if (whose == WHOSE_MODULE && !with_module) {
			tape_put_char(&suffix, '.');
			put_module_name(&suffix, origin);
			with_module = true;
			plain = suffix.length;
			counter = 1;
		} else if (!with_process) {
			tape_put_char(&suffix, '.');
			tape_put_decimal(&suffix, (uint64_t)origin->pid);
			with_process = true;
			plain = suffix.length;
			counter = 1;
		} else {
			tape_put_char(&suffix, '.');
			tape_put_decimal(&suffix, counter);
		}
	}
	return cannot_create(work->name, EEXIST, error);
}

static int open_pattern(struct tape_file *file, const char *pattern,
                        const struct tape_origin *origin, struct workspace *work,
                        struct tape_part *part, struct tape_error *error)
{
	struct tape_buf name;
	bool counts;
	tape_buf_init(&name, work->name, sizeof(work->name), sizeof(work->name));
	int result = make_absolute(file, &name, pattern, error);
	if (result < 0 || (result = expand(&name, pattern, 1, origin, &counts, error)) < 0)
		return result;
	if (counts)
		return open_counted(file, pattern, origin, error);
	if ((result = finish_name(&name, pattern, error)) < 0)
		return result;
	return open_named(file, origin, work, part, error);
}

int tape_file_open(struct tape_file *file, const char *pattern, const struct tape_origin *origin,
                   struct tape_part *ret_part, struct tape_error *error)
{
	struct tape_part part = { 1, 0 };
	tape_file_close(file);
	struct workspace *work = tape_pages_get(sizeof(*work));
	if (work == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "no memory to open a trace");
	int result = open_pattern(file, pattern, origin, work, &part, error);
	tape_pages_free(work, sizeof(*work));
	memcpy(file->first, file->path, sizeof(file->first));
	if (result == 0)
		*ret_part = part;
	return result;
}

static bool is_this_file(const struct tape_file *file, int fd)
{
	struct stat status;
	return fstat(fd, &status) == 0 && status.st_dev == file->device &&
	       status.st_ino == file->inode;
}

void tape_file_close(struct tape_file *file)
{
	int fd = atomic_exchange(&file->fd, TAPE_FILE_CLOSED);
	if (fd >= 0 && is_this_file(file, fd))
		close(fd);
	tape_pages_free(file->rest, file->rest_room);
	file->rest = NULL;
	file->rest_at = file->rest_end = file->rest_room = 0;
	file->lost = 0;
	file->dead = false;
}

/* ---- going on in another file ---------------------------------------------------------------- */

void tape_file_name(const struct tape_file *file, char ret_name[NAME_MAX + 1])
{
	const char *slash = strrchr(file->path, '/');
	const char *name = slash == NULL ? file->path : slash + 1;
	size_t length = strnlen(name, NAME_MAX);
	memcpy(ret_name, name, length);
	ret_name[length] = 0;
}

bool tape_file_continue(struct tape_file *file, unsigned int number, const char *header,
                        size_t length, const char *end, size_t end_length)
{
	char path[PATH_MAX];
	char text[32];
	struct tape_buf name;
	struct tape_buf suffix;
	struct stat status;
	int fd = atomic_load(&file->fd);
	/* What is not written yet belongs to this file. */
	if (fd < 0 || file->rest != NULL || file->lost != 0 || file->dead ||
	    !is_this_file(file, fd))
		return false;
	tape_buf_init(&suffix, text, sizeof(text), sizeof(text));
	TAPE_PUT(&suffix, ".part");
	tape_put_decimal(&suffix, number);
	tape_buf_init(&name, path, sizeof(path), sizeof(path));
	put_with_suffix(&name, file->first, &suffix);
	tape_put_char(&name, 0);
	if (name.failed)
		return false;
	int next = open(path,
	                O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
	                0600);
	if (next < 0)
		return false;
	fchmod(next, 0600);
	/* Out of the way of the program's own, as the first one is. */
	int old = fcntl(fd, F_DUPFD_CLOEXEC, file->home);
	bool good = old >= 0 && fstat(next, &status) == 0 &&
	            tape_write_quietly(next, header, length) == (long)length &&
	            dup3(next, fd, O_CLOEXEC) == fd;
	close(next);
	if (good)
		tape_write_quietly(old, end, end_length);
	else
		unlink(path);
	if (old >= 0)
		close(old);
	if (!good)
		return false;
	file->device = status.st_dev;
	file->inode = status.st_ino;
	memcpy(file->path, path, name.length);
	return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* write() is a cancellation point: a thread must not end in us where it would not without us. */
static inline ssize_t write_uncancelled(int fd, const char *bytes, size_t size)
{
	return (ssize_t)syscall(SYS_write, fd, bytes, size);
}

/* Find the file again by its path, since the application closed our descriptor with its own. */
static int reopen(struct tape_file *file)
{
	atomic_store(&file->fd, TAPE_FILE_LOST);
	int fd = open(file->path,
	              O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -1;
	if (!is_this_file(file, fd)) {
		close(fd);
		errno = ESTALE;
		return -1;
	}
	/*
	 * Where it was: another recorder in this process has lost its descriptor, too, and takes the place
	 * for its own until it writes.
	 */
	fd = park(fd, file->home);
	if (fd >= 0)
		atomic_store(&file->fd, fd);
	return fd;
}

static ssize_t write_some(struct tape_file *file, const char *bytes, size_t size)
{
	int fd = atomic_load(&file->fd);
	bool reopened = fd < 0;
	if (reopened)
		fd = reopen(file);
	for (;;) {
		if (fd < 0)
			return -1;
		ssize_t written = tape_write_quietly(fd, bytes, size);
		if (written >= 0 || errno == EINTR) {
			if (written >= 0)
				return written;
		} else if (errno == EBADF && !reopened) {
			reopened = true;
			fd = reopen(file);
		} else {
			return -1;
		}
	}
}

/* Write as much as there is room for; return how much that was. */
static size_t write_all(struct tape_file *file, const char *bytes, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t written = write_some(file, bytes + done, size - done);
		if (written < 0)
			file->why = errno;
		if (written <= 0)
			break;
		done += (size_t)written;
	}
	return done;
}

int tape_file_begin(struct tape_file *file, const struct tape_part *part, const char *header,
                    size_t length, struct tape_error *error)
{
	if (write_all(file, header, length) == length)
		return 0;
	if (part->load == 1)
		unlink(file->path);
	tape_file_close(file);
	return tape_error_set(
		error, TAPE_E_SYSTEM, 0,
		"the trace %s cannot be written: %s; set P11TAPE_TRACE to a file that can",
		file->path, tape_errno_text(file->why));
}

/* Keep the rest of a line that was torn, to write it before anything else. */
static void keep_rest(struct tape_file *file, const char *rest, size_t size)
{
	file->rest = tape_pages_get(size);
	if (file->rest == NULL) {
		file->dead = true;
		return;
	}
	memcpy(file->rest, rest, size);
	file->rest_room = file->rest_end = size;
	file->rest_at = 0;
}

static bool write_rest(struct tape_file *file)
{
	if (file->rest == NULL)
		return true;
	file->rest_at +=
		write_all(file, file->rest + file->rest_at, file->rest_end - file->rest_at);
	if (file->rest_at != file->rest_end)
		return false;
	tape_pages_free(file->rest, file->rest_room);
	file->rest = NULL;
	return true;
}

/* Write a whole line or keep its rest; false where nothing of it was written. */
static bool write_line(struct tape_file *file, const char *line, size_t length)
{
	size_t done = write_all(file, line, length);
	if (done != 0 && done != length)
		keep_rest(file, line + done, length - done);
	return done != 0;
}

static bool write_gap(struct tape_file *file)
{
	char text[128];
	struct tape_buf buf;
	if (file->lost == 0)
		return true;
	tape_buf_init(&buf, text, sizeof(text), sizeof(text));
	TAPE_PUT(&buf, "- {\"gap\": ");
	tape_put_decimal(&buf, file->lost);
	TAPE_PUT(&buf, ", \"why\": \"");
	tape_put_text(&buf, tape_errno_name(file->why));
	TAPE_PUT(&buf, "\"}\n");
	if (!write_line(file, buf.data, buf.length))
		return false;
	file->lost = 0;
	return file->rest == NULL && !file->dead;
}

static void tell_once(struct tape_file *file)
{
	if (file->told)
		return;
	file->told = true;
	tape_tell("the trace %s cannot be written: %s; calls go on and are not recorded meanwhile",
	          file->path, tape_errno_text(file->why));
}

/*
 * The careful way: first what is missing of a torn line, then the gap, then this. `done` bytes of it
 * were written already. Only here, where something is wrong, threads wait for each other's writes.
 */
static TAPE_COLD void write_carefully(struct tape_file *file, struct tape_lock *lock,
                                      const char *lines, size_t length, size_t done)
{
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	tape_lock_take(lock);
	atomic_fetch_or(&file->careful, TAPE_FILE_TROUBLED);
	if (done != 0) {
		done += write_all(file, lines + done, length - done);
		if (done != length && file->rest != NULL)
			file->dead = true; /* two torn lines: nothing behind them could be read */
		else if (done != length)
			keep_rest(file, lines + done, length - done);
	} else if (file->dead || !write_rest(file) || !write_gap(file) ||
	           !write_line(file, lines, length)) {
		file->lost++;
	}
	if (file->dead || file->rest != NULL || file->lost != 0)
		tell_once(file);
	else
		atomic_fetch_and(&file->careful, ~(unsigned int)TAPE_FILE_TROUBLED);
	tape_lock_give(lock);
	pthread_setcancelstate(cancel, &cancel);
}

void tape_file_write(struct tape_file *file, struct tape_lock *lock, const char *lines,
                     size_t length)
{
	int fd = atomic_load_explicit(&file->fd, memory_order_relaxed);
	ssize_t written = 0;
	if (TAPE_LIKELY(fd >= 0 &&
	                atomic_load_explicit(&file->careful, memory_order_relaxed) == 0)) {
		written = write_uncancelled(fd, lines, length);
		if (TAPE_LIKELY(written == (ssize_t)length))
			return;
	} else if (fd == TAPE_FILE_CLOSED) {
		return;
	}
	write_carefully(file, lock, lines, length, written < 0 ? 0 : (size_t)written);
}

void tape_file_tell_lost(struct tape_file *file, struct tape_lock *lock)
{
	if ((atomic_load(&file->careful) & TAPE_FILE_TROUBLED) == 0)
		return;
	tape_lock_take(lock);
	uint64_t lost = file->lost;
	bool torn = file->dead || file->rest != NULL;
	tape_lock_give(lock);
	/* The `end` is among them. */
	if (lost > 1 || torn)
		tape_tell("the trace %s ends too early: %llu lines of calls are missing%s: %s",
		          file->path, (unsigned long long)(lost > 1 ? lost - 1 : 0),
		          torn ? ", and part of its last one" : "", tape_errno_text(file->why));
}
