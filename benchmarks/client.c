/*
 * The client of the benchmark: the same few system calls for every filesystem, and
 * nothing between them but the clock.
 *
 *     client DIR COUNT BLOB SIZE FIRST PHASE[:LABEL[:REPEAT]]...
 *
 * BLOB holds documents of SIZE bytes each, used in turn. Each document begins with
 * {"sequence":"0000000000000000", and the client writes a running number, beginning with
 * FIRST, over these zeros: no two files of a run are alike. Files are called
 * d-<number>.json and, once renamed, r-<number>.json; names are relative to an open
 * directory, so that only one name is looked up per call.
 *
 * Phases:
 *     create   openat(O_CREAT|O_EXCL|O_WRONLY), write, close, for each file
 *     durable  the same with an fsync before the close
 *     stat     fstatat, for each file
 *     read     openat(O_RDONLY), read (the whole document in one call), close
 *     verify   as read, and compare every byte; for correctness, its time says nothing
 *     list     openat the directory itself, readdir to the end, closedir; COUNT names expected
 *     rename   renameat to a name that does not exist yet
 *     unlink   unlinkat, under whichever name the files have by then
 *
 * Prints one line of JSON per phase: what was done how often, the time for all of it, and
 * percentiles of single operations. Any surprise ends it with a message and status 1.
 */
#define _GNU_SOURCE
#include "clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t STAMP_OFFSET = sizeof("{\"sequence\":\"") - 1;
enum { STAMP_DIGITS = 16 };

static char *blob;
static size_t documents, size;
static int dir;
static long count, first;
static char prefix = 'd';
static char *scratch;

static void name_of(char *name, size_t room, char with, long index)
{
	snprintf(name, room, "%c-%06ld.json", with, index);
}

/* The document for one file, with its running number stamped in. */
static char *document(long index)
{
	char stamp[STAMP_DIGITS + 1];
	char *text = blob + (size_t)(index % (long)documents) * size;

	snprintf(stamp, sizeof stamp, "%016ld", first + index);
	memcpy(text + STAMP_OFFSET, stamp, STAMP_DIGITS);
	return text;
}

static void make(long index, int durable)
{
	char name[32];
	char *text = document(index);
	int fd;

	name_of(name, sizeof name, prefix, index);
	fd = openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		fail("create %s", name);
	if (write(fd, text, size) != (ssize_t)size)
		fail("write %s", name);
	if (durable && fsync(fd) != 0)
		fail("fsync %s", name);
	if (close(fd) != 0)
		fail("close %s", name);
}

static void create_one(long index)
{
	make(index, 0);
}

static void create_durably(long index)
{
	make(index, 1);
}

static void stat_one(long index)
{
	char name[32];
	struct stat st;

	name_of(name, sizeof name, prefix, index);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		fail("stat %s", name);
	if (st.st_size != (off_t)size)
		fail("stat %s: %ld bytes", name, (long)st.st_size);
}

static void read_one(long index)
{
	char name[32];
	int fd;

	name_of(name, sizeof name, prefix, index);
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("open %s", name);
	if (read(fd, scratch, size) != (ssize_t)size)
		fail("read %s", name);
	close(fd);
}

static void verify_one(long index)
{
	read_one(index);
	errno = 0;
	if (memcmp(scratch, document(index), size) != 0)
		fail("%c-%06ld.json does not hold what was written", prefix, index);
}

static void list_once(long index)
{
	long seen = 0;
	struct dirent *entry;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);

	(void)index;
	if (!stream)
		fail("open the directory");
	errno = 0;
	while ((entry = readdir(stream)) != NULL)
		seen += entry->d_name[0] != '.';
	if (errno)
		fail("readdir");
	if (seen != count)
		fail("%ld names listed of %ld", seen, count);
	closedir(stream);
}

static void rename_one(long index)
{
	char from[32], to[32];

	name_of(from, sizeof from, 'd', index);
	name_of(to, sizeof to, 'r', index);
	if (renameat(dir, from, dir, to) != 0)
		fail("rename %s", from);
}

static void unlink_one(long index)
{
	char name[32];

	name_of(name, sizeof name, prefix, index);
	if (unlinkat(dir, name, 0) != 0)
		fail("unlink %s", name);
}

static const struct phase {
	const char *name;
	void (*run)(long);
	int whole_directory;
} phases[] = {
	{ "create", create_one, 0 }, { "durable", create_durably, 0 }, { "stat", stat_one, 0 },
	{ "read", read_one, 0 },     { "verify", verify_one, 0 },      { "list", list_once, 1 },
	{ "rename", rename_one, 0 }, { "unlink", unlink_one, 0 },
};

static void run_phase(const struct phase *phase, const char *label, long repeat)
{
	long each = phase->whole_directory ? 1 : count, total = each * repeat, done = 0;
	uint64_t *times = calloc((size_t)total, sizeof *times);
	uint64_t begin, last, t;

	if (!times)
		fail("out of memory");
	/* Fault the pages in now rather than while the clock runs. */
	memset(times, 1, (size_t)total * sizeof *times);
	begin = last = now();
	for (long pass = 0; pass < repeat; pass++) {
		for (long index = 0; index < each; index++) {
			phase->run(index);
			t = now();
			times[done++] = t - last;
			last = t;
		}
	}
	if (strcmp(phase->name, "rename") == 0)
		prefix = 'r';
	say_times(label, times, total, last - begin);
	free(times);
}

static void load(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		fail("open %s", path);
	documents = (size_t)st.st_size / size;
	blob = malloc((size_t)st.st_size);
	scratch = malloc(size);
	if (!documents || !blob || !scratch)
		fail("%s holds no document of %zu bytes", path, size);
	if (read(fd, blob, (size_t)st.st_size) != st.st_size)
		fail("read %s", path);
	close(fd);
	memset(scratch, 0, size);
}

int main(int argc, char **argv)
{
	if (argc < 7) {
		fprintf(stderr, "usage: client DIR COUNT BLOB SIZE FIRST PHASE[:LABEL[:REPEAT]]...\n");
		return 2;
	}
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail("open %s", argv[1]);
	count = atol(argv[2]);
	size = (size_t)atol(argv[4]);
	first = atol(argv[5]);
	if (count < 1 || size < STAMP_OFFSET + STAMP_DIGITS)
		fail("nothing to do with %ld files of %zu bytes", count, size);
	load(argv[3]);
	for (int i = 6; i < argc; i++) {
		char *name = strtok(argv[i], ":"), *label = strtok(NULL, ":"), *times = strtok(NULL, ":");
		size_t p = 0;

		while (p < sizeof phases / sizeof *phases && strcmp(phases[p].name, name) != 0)
			p++;
		if (p == sizeof phases / sizeof *phases)
			fail("no phase is called %s", name);
		run_phase(&phases[p], label ? label : name, times ? atol(times) : 1);
	}
	return 0;
}
