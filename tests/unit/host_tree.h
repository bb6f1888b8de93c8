/*
 * A directory tree for one test, in the shape of /proc and /sys.  Paths are relative
 * to the tree; folders are made as needed.  Failures end the test.
 */
#ifndef ZIGGIE_TESTS_HOST_TREE_H
#define ZIGGIE_TESTS_HOST_TREE_H

#include <stddef.h>

struct host_collector;
struct host_tree {
	char root[64], proc[80], sys[80];
};

void host_tree_make(struct host_tree *tree); /* empty, but for proc and sys */
void host_tree_remove(struct host_tree *tree);
void host_tree_write(const struct host_tree *tree, const char *path, const void *bytes, size_t len);
void host_tree_put(const struct host_tree *tree, const char *path, const char *text);
void host_tree_link(const struct host_tree *tree, const char *path, const char *target);
void host_tree_delete(const struct host_tree *tree, const char *path);
/* What every process sample needs: stat with btime 1700000000, and 1 GiB in meminfo. */
void host_tree_basics(const struct host_tree *tree);
/* proc/PID/stat; start and cpu in clock ticks. */
void host_tree_process(const struct host_tree *tree, int pid, const char *name, size_t name_len,
		       unsigned long cpu, unsigned long start);
struct host_collector *host_tree_collector(const struct host_tree *tree);

#endif
