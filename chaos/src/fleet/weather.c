/* Weather around one process, for tests: loaded with LD_PRELOAD, it changes what the process sees of clock and disk.
 *
 * HOLDFAST_CHAOS_WEATHER names a file of 64-bit numbers in the machine's byte order, which is mapped and looked at:
 *   0  nanoseconds added to the wall clock (signed)
 *   1  microseconds that each sync takes longer
 *   2  free bytes that the file system reports at most, plus one; 0: what there is
 *   3  not 0: writes below HOLDFAST_CHAOS_DATA fail with ENOSPC, the first of them half written
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *weather;
static const char *data;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_statvfs)(const char *, struct statvfs *);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);

#define REAL(name) ((__typeof__(real_##name))find((void **)&real_##name, #name))

static void *find(void **place, const char *name)
{
    if (!*place)
        *place = dlsym(RTLD_NEXT, name);
    return *place;
}

__attribute__((constructor)) static void look(void)
{
    const char *path = getenv("HOLDFAST_CHAOS_WEATHER");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *map = mmap(NULL, 4 * sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    data = getenv("HOLDFAST_CHAOS_DATA");
    if (map != MAP_FAILED)
        weather = map;
}

static int64_t at(int place)
{
    return weather ? weather[place] : 0;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int result = REAL(clock_gettime)(clock, out);
    int64_t offset = at(0);
    if (result == 0 && offset != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t nanos = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + offset;
        out->tv_sec = nanos / 1000000000;
        out->tv_nsec = nanos % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

static void drag(void)
{
    int64_t micros = at(1);
    struct timespec wait = { micros / 1000000, micros % 1000000 * 1000 };
    if (micros > 0)
        nanosleep(&wait, NULL);
}

int fdatasync(int file)
{
    drag();
    return REAL(fdatasync)(file);
}

int fsync(int file)
{
    drag();
    return REAL(fsync)(file);
}

int statvfs(const char *restrict path, struct statvfs *restrict out)
{
    int result = REAL(statvfs)(path, out);
    int64_t most = at(2);
    if (result == 0 && most > 0 && out->f_frsize > 0) {
        fsblkcnt_t blocks = (fsblkcnt_t)(most - 1) / out->f_frsize;
        if (out->f_bavail > blocks)
            out->f_bavail = blocks;
        if (out->f_bfree > blocks)
            out->f_bfree = blocks;
    }
    return result;
}

int statvfs64(const char *restrict path, struct statvfs64 *restrict out)
{
    return statvfs(path, (struct statvfs *)out);
}

/* Whether a write to this file has to fail. */
static int full(int file)
{
    char link[64], path[4096];
    if (at(3) == 0 || !data)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 0 && strncmp(path, data, strlen(data)) == 0;
}

/* How much of it may still be written: half of the first one, nothing of the others. */
static size_t part(size_t bytes)
{
    static int torn;
    if (torn || bytes < 2)
        return 0;
    torn = 1;
    return bytes / 2;
}

ssize_t write(int file, const void *bytes, size_t length)
{
    if (full(file) && (length = part(length)) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(write)(file, bytes, length);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t where)
{
    if (full(file) && (length = part(length)) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(pwrite)(file, bytes, length, where);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off_t where)
{
    return pwrite(file, bytes, length, where);
}
