/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "host_tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/strbuf.h"
#include "host/host.h"

void host_tree_make(struct host_tree *tree)
{
	snprintf(tree->root, sizeof(tree->root), "/tmp/zghost.XXXXXX");
	assert_non_null(mkdtemp(tree->root));
	snprintf(tree->proc, sizeof(tree->proc), "%s/proc", tree->root);
	snprintf(tree->sys, sizeof(tree->sys), "%s/sys", tree->root);
	assert_int_equal(mkdir(tree->proc, 0755), 0);
	assert_int_equal(mkdir(tree->sys, 0755), 0);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info, (void)type, (void)where;
	return remove(path);
}

void host_tree_remove(struct host_tree *tree)
{
	assert_int_equal(nftw(tree->root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static void full_path(const struct host_tree *tree, const char *path, char out[256])
{
	int len = snprintf(out, 256, "%s/%s", tree->root, path);
	assert_in_range(len, 1, 255);
}

static void make_parents(char path[256])
{
	for (char *slash = path + strlen("/tmp/"); (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

void host_tree_write(const struct host_tree *tree, const char *path, const void *bytes, size_t len)
{
	char full[256];
	full_path(tree, path, full);
	make_parents(full);
	FD_CLEANUP fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, len), ERR_OK);
}

void host_tree_put(const struct host_tree *tree, const char *path, const char *text)
{
	host_tree_write(tree, path, text, strlen(text));
}

void host_tree_link(const struct host_tree *tree, const char *path, const char *target)
{
	char full[256];
	full_path(tree, path, full);
	make_parents(full);
	assert_int_equal(symlink(target, full), 0);
}

void host_tree_delete(const struct host_tree *tree, const char *path)
{
	char full[256];
	full_path(tree, path, full);
	assert_int_equal(remove(full), 0);
}

void host_tree_basics(const struct host_tree *tree)
{
	host_tree_put(tree, "proc/stat", "cpu  0 0 0 0\ncpu0 0 0 0 0\nbtime 1700000000\n");
	host_tree_put(tree, "proc/meminfo", "MemTotal: 1048576 kB\nMemFree: 524288 kB\n");
}

void host_tree_process(const struct host_tree *tree, int pid, const char *name, size_t name_len,
		       unsigned long cpu, unsigned long start)
{
	char path[64];
	STRBUF_CLEANUP text = STRBUF_INIT;
	strbuf_addf(&text, "%d (", pid);
	strbuf_add(&text, name, name_len);
	strbuf_addf(&text, ") S 1 1 1 0 -1 0 0 0 0 0 %lu 0 0 0 20 0 2 0 %lu 9000 10 0\n", cpu,
		    start);
	snprintf(path, sizeof(path), "proc/%d/stat", pid);
	host_tree_write(tree, path, text.data, text.len);
}

struct host_collector *host_tree_collector(const struct host_tree *tree)
{
	struct host_collector *c = NULL;
	struct errmsg why = ERRMSG_INIT;
	if (host_collector_new(tree->proc, tree->sys, &c, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return c;
}
