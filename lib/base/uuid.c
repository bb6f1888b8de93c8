#include "base/uuid.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

/*
 * The 12 bits behind the version count within a millisecond: they start at random
 * with the top bit clear, which leaves room for 2,048 ids; when they run over, the id takes the
 * next millisecond.  The last time and count stand in one word, so that threads
 * need no lock.
 */
enum { COUNT_BITS = 12, START_MASK = 0x7ff };

static _Atomic uint64_t last_stamp; /* milliseconds << 12 | count */

/* A step of SplitMix64: every bit of the state shows in all bits of the result. */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Without random bytes an id still differs from all others, though it can be guessed. */
static void make_do(uint8_t *out, size_t len)
{
	static _Atomic uint64_t calls;
	uint64_t state = (uint64_t)clock_mono_ns() ^ (uint64_t)getpid() << 40;
	state = mix(&state) ^ atomic_fetch_add(&calls, 1);
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)mix(&state);
}

static void random_bytes(uint8_t *out, size_t len)
{
	while (len > 0) {
		ssize_t got = getrandom(out, len, 0);
		if (got < 0 && errno != EINTR) {
			make_do(out, len);
			return;
		}
		if (got > 0) {
			out += got;
			len -= (size_t)got;
		}
	}
}

static uint64_t next_stamp(uint16_t start)
{
	uint64_t now = (uint64_t)(clock_wall_us() / US_PER_MS);
	uint64_t fresh = now << COUNT_BITS | (start & START_MASK);
	uint64_t last = atomic_load(&last_stamp);
	uint64_t next;
	do
		next = last >> COUNT_BITS < now ? fresh : last + 1;
	while (!atomic_compare_exchange_weak(&last_stamp, &last, next));
	return next;
}

void uuid_new(struct uuid *out)
{
	uint8_t noise[10];
	random_bytes(noise, sizeof(noise));
	uint64_t stamp = next_stamp((uint16_t)(noise[0] << 8 | noise[1]));
	uint64_t ms = stamp >> COUNT_BITS;
	for (int i = 0; i < 6; i++)
		out->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	out->bytes[6] = (uint8_t)(0x70 | (stamp >> 8 & 0x0f));
	out->bytes[7] = (uint8_t)stamp;
	memcpy(out->bytes + 8, noise + 2, 8);
	out->bytes[8] = (uint8_t)(0x80 | (out->bytes[8] & 0x3f));
}

static bool dash_before(int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(const struct uuid *id, char out[UUID_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++) {
		if (dash_before(i))
			*out++ = '-';
		*out++ = digits[id->bytes[i] >> 4];
		*out++ = digits[id->bytes[i] & 0x0f];
	}
	*out = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool uuid_parse(const char *text, struct uuid *out)
{
	struct uuid id;
	for (int i = 0; i < 16; i++) {
		if (dash_before(i) && *text++ != '-')
			return false;
		int high = hex_value(text[0]);
		int low = high < 0 ? -1 : hex_value(text[1]);
		if (low < 0)
			return false;
		id.bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (*text != '\0')
		return false;
	*out = id;
	return true;
}

bool uuid_is_nil(const struct uuid *id)
{
	static const struct uuid nil;
	return memcmp(id, &nil, sizeof(nil)) == 0;
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
