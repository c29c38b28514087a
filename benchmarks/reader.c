/*
 * Reads trees and large files, for every filesystem in the same way.
 *
 *     reader walk DIR              read every file, directory by directory, in readdir's order
 *     reader paths DIR LIST STEP...  do each STEP for every path (relative to DIR) in file LIST:
 *                                  stat, read, list or make (create, write 600 bytes, close),
 *                                  as STEP[:LABEL]
 *     reader write FILE MIB        write a new file in pieces of 1 MiB that all differ
 *     reader read FILE MIB         read it in pieces of 1 MiB, and compare
 *
 * walk prints {"files": N, "bytes": N, "sum": N, "seconds": S}, where sum adds up all bytes; the
 * others print one line for each step as client.c does. Any surprise ends it with status 1.
 */
#define _GNU_SOURCE
#include "clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20, NEW = 600 };

static unsigned char buffer[PIECE];
static uint64_t files, bytes, sum;

static void read_whole(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got;

	if (fd < 0)
		fail("open %s", name);
	while ((got = read(fd, buffer, sizeof buffer)) > 0) {
		bytes += (uint64_t)got;
		for (ssize_t i = 0; i < got; i++)
			sum += buffer[i];
	}
	if (got < 0)
		fail("read %s", name);
	close(fd);
	files++;
}

static DIR *open_directory(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);

	if (!stream)
		fail("open directory %s", name);
	return stream;
}

static int is_directory(DIR *stream, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		fail("stat %s", entry->d_name);
	return S_ISDIR(st.st_mode);
}

static void walk(int dir, const char *name)
{
	DIR *stream = open_directory(dir, name);
	struct dirent *entry;

	for (errno = 0; (entry = readdir(stream)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (is_directory(stream, entry))
			walk(dirfd(stream), entry->d_name);
		else
			read_whole(dirfd(stream), entry->d_name);
	}
	if (errno)
		fail("readdir %s", name);
	closedir(stream);
}

static void stat_one(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		fail("stat %s", name);
}

static void list_one(int dir, const char *name)
{
	DIR *stream = open_directory(dir, name);
	long seen = 0;

	for (errno = 0; readdir(stream) != NULL; errno = 0)
		seen++;
	if (errno || seen < 3)
		fail("readdir %s: %ld names", name, seen);
	closedir(stream);
}

static void make_one(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		fail("create %s", name);
	snprintf((char *)buffer, NEW, "{\"name\":\"%s\",\"at\":%llu,", name, (unsigned long long)now());
	if (write(fd, buffer, NEW) != NEW || close(fd) != 0)
		fail("write %s", name);
}

static const struct step {
	const char *name;
	void (*run)(int, const char *);
} steps[] = {
	{ "stat", stat_one }, { "read", read_whole }, { "list", list_one }, { "make", make_one },
};

/* The lines of a file. */
static char **lines_of(const char *path, long *count)
{
	FILE *list = fopen(path, "re");
	char **lines = NULL, *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (!list)
		fail("open %s", path);
	*count = 0;
	while ((length = getline(&line, &room, list)) > 0) {
		line[length - 1] = 0;
		if ((*count & 1023) == 0)
			lines = realloc(lines, (size_t)(*count + 1024) * sizeof *lines);
		lines[(*count)++] = strdup(line);
	}
	if (!*count)
		fail("%s is empty", path);
	return lines;
}

static void run_step(int dir, char **lines, long count, const char *name, const char *label)
{
	uint64_t *times = calloc((size_t)count, sizeof *times), begin, last, t;
	size_t s = 0;

	while (s < sizeof steps / sizeof *steps && strcmp(steps[s].name, name) != 0)
		s++;
	if (s == sizeof steps / sizeof *steps || !times)
		fail("no step is called %s", name);
	memset(times, 1, (size_t)count * sizeof *times);
	begin = last = now();
	for (long i = 0; i < count; i++) {
		steps[s].run(dir, lines[i]);
		t = now();
		times[i] = t - last;
		last = t;
	}
	say_times(label ? label : name, times, count, last - begin);
	free(times);
}

/* Text that differs from piece to piece and does not repeat within one. */
static void fill(uint64_t *piece, uint64_t number)
{
	uint64_t state = number * 0x9e3779b97f4a7c15u + 1;

	for (size_t i = 0; i < PIECE / sizeof *piece; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		piece[i] = (state & 0x0f0f0f0f0f0f0f0fu) + 0x6161616161616161u;
	}
}

static void stream(const char *path, long pieces, int writing)
{
	int flags = writing ? O_CREAT | O_EXCL | O_WRONLY : O_RDONLY;
	int fd = open(path, flags | O_CLOEXEC, 0644);
	uint64_t *times = calloc((size_t)pieces, sizeof *times), *text = malloc(PIECE), all = 0, begin;

	if (fd < 0 || !times || !text)
		fail("open %s", path);
	for (long i = 0; i < pieces; i++) {
		fill(text, (uint64_t)i);
		begin = now();
		ssize_t done = writing ? write(fd, text, PIECE) : read(fd, buffer, PIECE);
		times[i] = now() - begin;
		all += times[i];
		if (done != PIECE || (!writing && memcmp(text, buffer, PIECE) != 0))
			fail("%s, MiB %ld: not as it should be", path, i);
	}
	begin = now();
	if (close(fd) != 0)
		fail("close %s", path);
	say_times(writing ? "write" : "read", times, pieces, all + (now() - begin));
}

int main(int argc, char **argv)
{
	program = "reader";
	if (argc == 3 && strcmp(argv[1], "walk") == 0) {
		uint64_t begin = now();

		walk(AT_FDCWD, argv[2]);
		printf("{\"files\": %llu, \"bytes\": %llu, \"sum\": %llu, \"seconds\": %.9f}\n",
		       (unsigned long long)files, (unsigned long long)bytes, (unsigned long long)sum,
		       (double)(now() - begin) / 1e9);
	} else if (argc > 4 && strcmp(argv[1], "paths") == 0) {
		int dir = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		long count;
		char **lines = lines_of(argv[3], &count);

		if (dir < 0)
			fail("open %s", argv[2]);
		for (int i = 4; i < argc; i++) {
			char *name = strtok(argv[i], ":"), *label = strtok(NULL, ":");

			run_step(dir, lines, count, name, label);
		}
	} else if (argc == 4 && (strcmp(argv[1], "write") == 0 || strcmp(argv[1], "read") == 0)) {
		stream(argv[2], atol(argv[3]), argv[1][0] == 'w');
	} else {
		fprintf(stderr, "usage: reader walk DIR | paths DIR LIST STEP... | write|read FILE MIB\n");
		return 2;
	}
	return 0;
}
