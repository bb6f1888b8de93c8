#include "base/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "base/num.h"

/* Blocks small enough to come from the heap: malloc() asks the kernel for 128 KB and more. */
enum { SPARE_BLOCKS = 8, SPARE_BLOCK = 64 * 1024 };
enum { STAT_MAX = 4096, STATE_FIELD = 3, START_BRK_FIELD = 47 };

static uintptr_t page_size(void)
{
	return (uintptr_t)sysconf(_SC_PAGESIZE);
}

static uintptr_t heap_end(void)
{
	return (uintptr_t)sbrk(0);
}

/* Where the kernel lets it begin, proc(5); 0 when it does not say. */
static uintptr_t heap_start(void)
{
	STRBUF_CLEANUP stat = STRBUF_INIT;
	uint64_t start = 0;
	if (io_read_file("/proc/self/stat", STAT_MAX, &stat, NULL) != ERR_OK)
		return 0;
	/* A process may have any name, and it ends with the last parenthesis. */
	const char *at = strrchr(stat.data, ')');
	for (int field = STATE_FIELD; at != NULL && field <= START_BRK_FIELD; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL || !num_u64(at + 1, strcspn(at + 1, " "), 0, UINTPTR_MAX, &start))
		return 0;
	return (uintptr_t)start / page_size() * page_size();
}

void heap_share(void)
{
	/* NOLINTBEGIN(concurrency-mt-unsafe): no other thread has been started */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, -1);
	/* NOLINTEND(concurrency-mt-unsafe) */
}

/* Linux before 5.14 can't; there a page comes when it is used first. */
static void fill(const struct heap *h)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel told it as a number */
	madvise((void *)h->start, h->end - h->start, MADV_POPULATE_WRITE);
}

void heap_keep(struct heap *h)
{
	void *spare[SPARE_BLOCKS];
	for (size_t i = 0; i < SPARE_BLOCKS; i++)
		spare[i] = malloc(SPARE_BLOCK);
	for (size_t i = 0; i < SPARE_BLOCKS; i++)
		free(spare[i]);
	h->start = heap_start();
	h->end = h->start != 0 ? heap_end() : 0;
	fill(h);
}

void heap_give_back(const struct heap *h)
{
	uintptr_t end = heap_end();
	if (end <= h->end)
		return;
	uintptr_t unused = end - mallinfo2().keepcost;
	/* malloc_trim() leaves a little more than it is told, and whole pages. */
	malloc_trim(unused + page_size() < h->end ? h->end - unused - page_size() : 0);
	fill(h);
}
