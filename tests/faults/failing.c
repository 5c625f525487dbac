/* A layer between a program and its files, for LD_PRELOAD: the n-th operation below a folder fails, or is the last.

   Operations: open, write (all kinds), truncate, fsync, rename, link, unlink, mkdir. A write that fails has written half
   of its bytes. Reading is an `open` like any other. What reaches the kernel without the C library is not seen: of what
   eyas uses, one rename within the safetensors library. Each operation is logged as a line of JSON. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static long at;
static int error, forever, needs_room, report = -1; /* error 0: the process is killed instead */
static atomic_long count;

void failing_arm(const char *folder, long number, int number_of_error, int again, int only_what_needs_room, int log) {
    snprintf(root, sizeof root, "%s", folder);
    at = number, error = number_of_error, forever = again, needs_room = only_what_needs_room, report = log;
    atomic_store(&count, 0);
}

static int below(int folder, const char *path, char *whole) {
    if (path[0] == '/') snprintf(whole, PATH_MAX, "%s", path);
    else if (folder == AT_FDCWD) return 0; /* trials name their folder by its full path */
    else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        long length = readlink(link, whole, PATH_MAX - 1);
        if (length < 0) return 0;
        snprintf(whole + length, PATH_MAX - length, "%s%s", path[0] ? "/" : "", path);
    }
    return strncmp(whole, root, strlen(root)) == 0;
}

/* Count an operation; 0: let it happen, 1: it fails, 2: the process ends here. */
static int due(const char *kind, int takes_room, int folder, const char *path) {
    if (!root[0]) return 0;
    int kept = errno;
    char whole[PATH_MAX], line[PATH_MAX + 200];
    if (!below(folder, path, whole)) return errno = kept, 0;
    long number = atomic_fetch_add(&count, 1) + 1;
    int hit = number == at || (forever && number > at && (takes_room || !needs_room));
    if (report >= 0) {
        int length = snprintf(line, sizeof line, "{\"number\": %ld, \"kind\": \"%s\", \"path\": \"%s\", \"hit\": %s}\n",
                              number, kind, whole, hit ? "true" : "false");
        syscall(SYS_write, report, line, length);
    }
    errno = kept;
    return !hit ? 0 : error ? 1 : 2;
}

static int end(int what) {
    if (what == 2) kill(getpid(), SIGKILL);
    errno = error;
    return -1;
}

#define USUAL(name) __typeof__(name) *usual = dlsym(RTLD_NEXT, #name)
#define FAILS(kind, room, folder, path) int what = due(kind, room, folder, path); if (what) return end(what)

#define OPEN(name, parameters, folder, ...)                                                  \
    int name parameters {                                                                    \
        USUAL(name);                                                                         \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
        FAILS("open", (flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0, folder, path);           \
        return usual(__VA_ARGS__, flags, mode);                                              \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, path)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, path)
OPEN(openat, (int folder, const char *path, int flags, ...), folder, folder, path)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, folder, path)

#define PATHS(name, kind, room, parameters, folder, path, ...) \
    int name parameters { USUAL(name); FAILS(kind, room, folder, path); return usual(__VA_ARGS__); }
PATHS(rename, "rename", 1, (const char *from, const char *to), AT_FDCWD, to, from, to)
PATHS(renameat, "rename", 1, (int a, const char *from, int b, const char *to), b, to, a, from, b, to)
PATHS(link, "link", 1, (const char *from, const char *to), AT_FDCWD, to, from, to)
PATHS(linkat, "link", 1, (int a, const char *from, int b, const char *to, int flags), b, to, a, from, b, to, flags)
PATHS(unlink, "unlink", 0, (const char *path), AT_FDCWD, path, path)
PATHS(unlinkat, "unlink", 0, (int folder, const char *path, int flags), folder, path, folder, path, flags)
PATHS(mkdir, "mkdir", 1, (const char *path, mode_t mode), AT_FDCWD, path, path, mode)
PATHS(mkdirat, "mkdir", 1, (int folder, const char *path, mode_t mode), folder, path, folder, path, mode)
PATHS(fsync, "fsync", 1, (int file), file, "", file)
PATHS(fdatasync, "fsync", 1, (int file), file, "", file)
PATHS(ftruncate, "truncate", 1, (int file, off_t size), file, "", file, size)
PATHS(ftruncate64, "truncate", 1, (int file, off64_t size), file, "", file, size)

#define WRITE(name, parameters, half, ...)                        \
    ssize_t name parameters {                                     \
        USUAL(name);                                              \
        int what = due("write", 1, file, "");                     \
        if (what) { (void)!usual half; return end(what); }        \
        return usual(__VA_ARGS__);                                \
    }
WRITE(write, (int file, const void *bytes, size_t size), (file, bytes, size / 2), file, bytes, size)
WRITE(pwrite64, (int file, const void *bytes, size_t size, off64_t place), (file, bytes, size / 2, place), file, bytes, size, place)
WRITE(writev, (int file, const struct iovec *parts, int number), (file, parts, number / 2), file, parts, number)
WRITE(sendfile, (int file, int from, off_t *place, size_t size), (file, from, place, size / 2), file, from, place, size)
WRITE(sendfile64, (int file, int from, off64_t *place, size_t size), (file, from, place, size / 2), file, from, place, size)
WRITE(copy_file_range, (int from, off64_t *a, int file, off64_t *b, size_t size, unsigned flags), (from, a, file, b, size / 2, flags), from, a, file, b, size, flags)
