#include "agent_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/utf8.h"

enum {
	FILE_MAX = 1 << 20, /* bytes */
	FILES_MAX = 100000,
	DEPTH_MAX = 16,
};

/* A directory that is to be read. */
struct place {
	struct place *next;
	const char *path; /* below the first, which is "" */
	unsigned depth;
};

struct walk {
	struct import *im;
	struct agent_list *found;
	size_t files; /* that were read */
	int top;      /* descriptor */
	struct place *first, **last;
	enum err err; /* what ends it */
};

static void run_out(struct walk *w)
{
	w->err = ERR_NOMEM;
}

static void skip_errno(struct walk *w, const char *path)
{
	struct errmsg why = ERRMSG_INIT;
	err_errno(&why, "it can't be read");
	import_skip(w->im, path, 0, why.text);
}

static bool is_text(const char *name)
{
	return utf8_valid(name, strlen(name)) && !utf8_has_control(name);
}

static bool is_markdown(const char *name)
{
	const char *ending = strrchr(name, '.');
	return ending != NULL && ending != name && strcasecmp(ending, ".md") == 0;
}

static void take_file(struct walk *w, const char *path, const struct strbuf *text,
		      int64_t modified_us)
{
	struct arena *arena = &w->found->arena;
	struct agent_file file;
	const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
	const char *stem = arena_strndup(arena, name, strlen(name) - strlen(".md"));
	if (stem == NULL ||
	    agent_file_read(arena, text->data, text->len, stem, &file, NULL) != ERR_OK) {
		run_out(w);
		return;
	}
	for (const struct agent_text *a = file.agents; a != NULL; a = a->next)
		if (!agent_list_add(w->found, (struct listed_agent){a, path, path, modified_us}))
			run_out(w);
	for (const struct agent_fault *f = file.faults; f != NULL; f = f->next)
		import_skip(w->im, path, f->line, f->reason);
}

/* NULL, or why the open file is none to be read. */
static const char *unfit(const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return "it is no regular file";
	return status->st_size > FILE_MAX ? "it is larger than 1 MiB" : NULL;
}

/* At most FILE_MAX bytes, even of a file that grows. */
static bool read_all(int fd, struct strbuf *out)
{
	char block[16384];
	ssize_t got;
	while ((got = read(fd, block, sizeof(block))) != 0 && out->len <= FILE_MAX) {
		if (got > 0)
			strbuf_add(out, block, (size_t)got);
		else if (errno != EINTR)
			return false;
	}
	return !out->failed && out->len <= FILE_MAX;
}

static void read_file(struct walk *w, int directory, const char *name, const char *path)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	struct stat status;
	FD_CLEANUP fd =
	    openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0) {
		skip_errno(w, path);
		return;
	}
	const char *reason = unfit(&status);
	if (reason == NULL && !is_text(path))
		reason = "its name is no UTF-8 text";
	if (reason == NULL && !read_all(fd, &text))
		reason = "it can't be read to its end";
	if (reason != NULL) {
		import_skip(w->im, path, 0, reason);
		return;
	}
	if (++w->files > FILES_MAX)
		w->err = ERR_TOO_LARGE;
	else
		take_file(w, path, &text,
			  status.st_mtim.tv_sec * US_PER_S + status.st_mtim.tv_nsec / NS_PER_US);
}

static void add_place(struct walk *w, const char *path, unsigned depth)
{
	struct place *place = arena_calloc(&w->found->arena, 1, sizeof(*place));
	if (depth > DEPTH_MAX) {
		import_skip(w->im, path, 0, "it is more than 16 directories deep");
	} else if (place == NULL) {
		run_out(w);
	} else {
		*place = (struct place){.path = path, .depth = depth};
		*w->last = place;
		w->last = &place->next;
	}
}

/* Only what ends in .md, and directories; a link may lead anywhere, or in a circle. */
static void take_entry(struct walk *w, const struct place *in, int directory, const char *name)
{
	struct stat status;
	const char *path =
	    arena_printf(&w->found->arena, "%s%s%s", in->path, *in->path != '\0' ? "/" : "", name);
	if (path == NULL)
		run_out(w);
	else if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
		skip_errno(w, path);
	else if (S_ISDIR(status.st_mode))
		add_place(w, path, in->depth + 1);
	else if (is_markdown(name) && S_ISLNK(status.st_mode))
		import_skip(w->im, path, 0, "it is a symbolic link");
	else if (is_markdown(name))
		read_file(w, directory, name, path);
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void read_place(struct walk *w, const struct place *place)
{
	struct dirent **entries;
	const char *path = *place->path != '\0' ? place->path : ".";
	FD_CLEANUP fd = openat(w->top, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int count = fd >= 0 ? scandirat(fd, ".", &entries, is_shown, alphasort) : -1;
	if (count < 0) {
		skip_errno(w, path);
		return;
	}
	for (int i = 0; i < count; i++) {
		if (w->err == ERR_OK)
			take_entry(w, place, fd, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

/* False, with a message printed, when there is nothing to go on with. */
static bool walk(struct walk *w, int *exit_code)
{
	add_place(w, "", 1);
	for (const struct place *p = w->first; p != NULL && w->err == ERR_OK; p = p->next)
		read_place(w, p);
	if (w->err == ERR_TOO_LARGE)
		*exit_code = ctl_fail(EX_DATAERR, "there are more than %d files", FILES_MAX);
	else if (w->err != ERR_OK)
		*exit_code = ctl_fail(EX_OSERR, "out of memory for the agents");
	return w->err == ERR_OK;
}

bool agent_files_read(struct import *im, const char *directory, struct agent_list *out,
		      int *exit_code)
{
	struct errmsg why = ERRMSG_INIT;
	FD_CLEANUP top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0) {
		err_errno(&why, "%s", directory);
		*exit_code = ctl_fail(EX_NOINPUT, "%s", why.text);
		return false;
	}
	struct walk w = {.im = im, .found = out, .top = top};
	w.last = &w.first;
	return walk(&w, exit_code);
}
