/* Preloaded into the program, so that a test can cut its power.
 *
 * Each change of the store's files is appended to a journal, with what it replaces, before it is made. A sync is appended
 * too, instead of being done. After a kill, the test undoes all changes, or some of them, since the last sync of a file:
 * a disk without power has them or has not.
 *
 * A record is a header, the path, the old bytes and the new bytes. The numbers of the header are 64 bits long, in the
 * machine's order: kind (1 write, 2 sync, 3 truncate), length of the path, offset, size of the file before, length of
 * the old bytes, length of the new bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 3 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int journal(void) {
    static int fd = -1;
    if (fd < 0) {
        const char *path = getenv("POWER_JOURNAL");
        fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    }
    return fd;
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), of_end = strlen(end);
    return length >= of_end && strcmp(text + length - of_end, end) == 0;
}

/* Writes the path of a file to `path`, and returns 1 if it belongs to the store. */
static int is_of_store(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0 || journal() < 0) return 0;
    path[length] = 0;
    return ends_with(path, "hookbell.db") || ends_with(path, "hookbell.db-wal") || ends_with(path, "hookbell.db.seq");
}

/* Appends a record. `end` is the offset up to which bytes are replaced. */
static void record(int fd, uint64_t kind, const char *path, uint64_t offset, uint64_t end, const void *new, uint64_t length) {
    struct stat about;
    uint64_t size = fstat(fd, &about) == 0 ? (uint64_t)about.st_size : 0;
    uint64_t until = end < size ? end : size, old = until > offset ? until - offset : 0;
    uint64_t header[6] = {kind, strlen(path), offset, size, old, length}, at = sizeof header;
    char *whole = malloc(at + header[1] + old + length);
    if (!whole) abort();
    memcpy(whole, header, at);
    memcpy(whole + at, path, header[1]);
    at += header[1];
    if (old && syscall(SYS_pread64, fd, whole + at, old, offset) != (ssize_t)old) abort();
    at += old;
    if (length) memcpy(whole + at, new, length);
    at += length;
    /* A kill may leave a part of the last record. Its change is not made then. */
    if (syscall(SYS_write, journal(), whole, at) != (ssize_t)at) abort();
    free(whole);
}

static ssize_t change(int fd, const void *bytes, size_t length, off_t offset) {
    char path[4096];
    if (!is_of_store(fd, path)) return syscall(SYS_pwrite64, fd, bytes, length, offset);
    pthread_mutex_lock(&lock);
    record(fd, WRITE, path, offset, offset + length, bytes, length);
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return change(fd, bytes, length, offset); }

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return change(fd, bytes, length, offset); }

static int truncated(int fd, off_t size) {
    char path[4096];
    if (!is_of_store(fd, path)) return syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    record(fd, TRUNCATE, path, size, UINT64_MAX, NULL, 0);
    int result = syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t size) { return truncated(fd, size); }

int ftruncate64(int fd, off_t size) { return truncated(fd, size); }

static int synced(int fd, long number) {
    char path[4096];
    if (!is_of_store(fd, path)) return syscall(number, fd);
    pthread_mutex_lock(&lock);
    record(fd, SYNC, path, 0, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
