/* What the programs of the benchmark share: the clock, percentiles, and a way to give up. */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *program = "client";

static void fail(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "%s: ", program);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	va_end(arguments);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Print one line of JSON: how many operations, all of their time, and single ones' percentiles. */
static void say_times(const char *label, uint64_t *times, long total, uint64_t all)
{
	qsort(times, (size_t)total, sizeof *times, by_size);
	printf("{\"label\": \"%s\", \"n\": %ld, \"seconds\": %.9f, \"p50\": %.3f, \"p99\": %.3f, "
	       "\"max\": %.3f}\n",
	       label, total, (double)all / 1e9, (double)times[total / 2] / 1e3,
	       (double)times[total - 1 - total / 100] / 1e3, (double)times[total - 1] / 1e3);
}
