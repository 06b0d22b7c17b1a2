// Preloaded into the command under test. It does two things that cannot be had from outside:
//
// - A fork server. Nearly all of the time of a short command goes to loading libtorch and taking it down. With TORTURE_SERVER=FD the process stops before
//   `main`, and for each request that it reads from the file FD it forks a child that runs `main` with the arguments of the request.
// - Faults at a chosen call. TORTURE_FAULT="CALL N WHAT [CODE]" does WHAT at the N-th CALL on files below TORTURE_ROOT:
//     errno CODE    the call fails with that error
//     always CODE   so do all later ones of its kind
//     short         a write takes half of the bytes
//     before, after, midway   the process is killed (SIGKILL) before the call, after it, or after half of a write
//   "bytes N full CODE" lets N bytes be written in all; then every write fails with CODE.
//   TORTURE_COUNTS=FILE: at the end, how many of each call there were goes there.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPEN, READ, WRITE, FSYNC, RENAME, MKDIR, UNLINK, TRUNCATE, CLOSE, LOCK, LIST, BYTES, CALLS };
static const char *const names[CALLS] = {"open", "read", "write", "fsync", "rename", "mkdir", "unlink", "truncate", "close", "lock", "list", "bytes"};
enum { NOTHING, ERROR, ALWAYS, SHORT, BEFORE, AFTER, MIDWAY, FULL };
static const char *const deeds[] = {"nothing", "errno", "always", "short", "before", "after", "midway", "full"};

static _Atomic long counts[CALLS];
static char root[PATH_MAX], counts_path[PATH_MAX];
static size_t root_length;
static int call = -1, deed, code;
static long at;
static _Atomic char ours[65536];

static void die(void) { syscall(SYS_kill, getpid(), SIGKILL); }

static void configure(void) {
    const char *text = getenv("TORTURE_FAULT"), *folder = getenv("TORTURE_ROOT"), *file = getenv("TORTURE_COUNTS");
    if (folder) root_length = (size_t)snprintf(root, sizeof root, "%s", folder);
    if (file) snprintf(counts_path, sizeof counts_path, "%s", file);
    char which[16], what[16];
    if (text && sscanf(text, "%15s %ld %15s %d", which, &at, what, &code) >= 3) {
        for (int i = 0; i < CALLS; i++) if (!strcmp(which, names[i])) call = i;
        for (int i = 0; i <= FULL; i++) if (!strcmp(what, deeds[i])) deed = i;
    }
    // What the command starts is not under test.
    unsetenv("TORTURE_FAULT"); unsetenv("TORTURE_ROOT"); unsetenv("TORTURE_COUNTS"); unsetenv("LD_PRELOAD");
}

__attribute__((destructor)) static void tell(void) {
    if (!counts_path[0]) return;
    int file = (int)syscall(SYS_openat, AT_FDCWD, counts_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (int i = 0; i < CALLS; i++) {
        char line[64];
        int length = snprintf(line, sizeof line, "%s %ld\n", names[i], counts[i]);
        syscall(SYS_write, file, line, length);
    }
    syscall(SYS_close, file);
}

// Whether this is the call to disturb. A fault that kills before it does not return.
static int disturbed(int kind) {
    long n = ++counts[kind];
    if (call != kind || deed == NOTHING || deed == FULL) return 0;
    if (deed == ALWAYS ? n < at : n != at) return 0;
    if (deed == BEFORE) die();
    return 1;
}
static int fails(int hit) {
    if (hit && (deed == ERROR || deed == ALWAYS)) { errno = code; return 1; }
    return 0;
}
static void finish(int hit) {
    if (hit && (deed == AFTER || deed == MIDWAY)) { int before = errno; die(); errno = before; }
}
static int below(const char *path) { return root_length && path && (path[0] != '/' || !strncmp(path, root, root_length)); }
static int known(int file) { return file >= 0 && file < 65536 && ours[file]; }
static int note(int file) {
    if (file >= 0 && file < 65536) ours[file] = 1;
    return file;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define OPENS(function, parameters, arguments, types, path) \
    int function parameters { \
        va_list list; va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; va_end(list); \
        REAL(int, #function, types); \
        if (!below(path)) { int file = real arguments; if (file >= 0 && file < 65536) ours[file] = 0; return file; } \
        int hit = disturbed(OPEN); \
        if (fails(hit)) return -1; \
        int file = note(real arguments); \
        finish(hit); \
        return file; \
    }
#define COMMA ,
OPENS(open, (const char *path, int flags, ...), (path, flags, mode), const char * COMMA int COMMA ..., path)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), const char * COMMA int COMMA ..., path)
OPENS(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), int COMMA const char * COMMA int COMMA ..., path)
OPENS(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), int COMMA const char * COMMA int COMMA ..., path)

#define WRITES(function, parameters, all, half, types) \
    ssize_t function parameters { \
        REAL(ssize_t, #function, types); \
        if (!known(file)) return real all; \
        int hit = disturbed(WRITE); \
        if (fails(hit)) return -1; \
        if (call == BYTES && deed == FULL) { \
            long left = at - counts[BYTES]; \
            if (left <= 0) { errno = code; return -1; } \
            if ((size_t)left < size) size = (size_t)left; \
        } \
        size_t part = (hit && (deed == SHORT || deed == MIDWAY) && size > 1) ? size / 2 : size; \
        ssize_t done = real half; \
        if (done > 0) counts[BYTES] += done; \
        finish(hit); \
        return done; \
    }
WRITES(write, (int file, const void *bytes, size_t size), (file, bytes, size), (file, bytes, part), int COMMA const void * COMMA size_t)
WRITES(pwrite, (int file, const void *bytes, size_t size, off_t place), (file, bytes, size, place), (file, bytes, part, place), int COMMA const void * COMMA size_t COMMA off_t)
WRITES(pwrite64, (int file, const void *bytes, size_t size, off_t place), (file, bytes, size, place), (file, bytes, part, place), int COMMA const void * COMMA size_t COMMA off_t)

#define CALL(type, failure, kind, condition, function, parameters, arguments, types) \
    type function parameters { \
        REAL(type, #function, types); \
        if (!(condition)) return real arguments; \
        int hit = disturbed(kind); \
        if (fails(hit)) return failure; \
        type result = real arguments; \
        finish(hit); \
        return result; \
    }
CALL(ssize_t, -1, READ, known(file), read, (int file, void *bytes, size_t size), (file, bytes, size), int COMMA void * COMMA size_t)
CALL(ssize_t, -1, READ, known(file), pread, (int file, void *bytes, size_t size, off_t place), (file, bytes, size, place), int COMMA void * COMMA size_t COMMA off_t)
CALL(ssize_t, -1, READ, known(file), pread64, (int file, void *bytes, size_t size, off_t place), (file, bytes, size, place), int COMMA void * COMMA size_t COMMA off_t)
CALL(int, -1, FSYNC, known(file), fsync, (int file), (file), int)
CALL(int, -1, FSYNC, known(file), fdatasync, (int file), (file), int)
CALL(int, -1, TRUNCATE, known(file), ftruncate, (int file, off_t size), (file, size), int COMMA off_t)
CALL(int, -1, TRUNCATE, known(file), ftruncate64, (int file, off_t size), (file, size), int COMMA off_t)
CALL(int, -1, LOCK, known(file), flock, (int file, int what), (file, what), int COMMA int)
CALL(int, -1, RENAME, below(to), rename, (const char *from, const char *to), (from, to), const char * COMMA const char *)
CALL(int, -1, RENAME, below(to), renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), int COMMA const char * COMMA int COMMA const char *)
CALL(int, -1, RENAME, below(to), renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), int COMMA const char * COMMA int COMMA const char * COMMA unsigned)
CALL(int, -1, MKDIR, below(path), mkdir, (const char *path, mode_t mode), (path, mode), const char * COMMA mode_t)
CALL(int, -1, MKDIR, below(path), mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), int COMMA const char * COMMA mode_t)
CALL(int, -1, UNLINK, below(path), unlink, (const char *path), (path), const char *)
CALL(int, -1, UNLINK, below(path), unlinkat, (int folder, const char *path, int flags), (folder, path, flags), int COMMA const char * COMMA int)
CALL(DIR *, NULL, LIST, below(path), opendir, (const char *path), (path), const char *)

int close(int file) {
    REAL(int, "close", int);
    if (!known(file)) return real(file);
    ours[file] = 0;
    int hit = disturbed(CLOSE);
    // Linux closes the file whatever close answers.
    int result = real(file);
    if (fails(hit)) return -1;
    finish(hit);
    return result;
}

// MARK: The fork server

static int all(int file, void *bytes, size_t size, int writes) {
    for (char *place = bytes; size;) {
        ssize_t done = writes ? syscall(SYS_write, file, place, size) : syscall(SYS_read, file, place, size);
        if (done <= 0) { if (done < 0 && errno == EINTR) continue; return 0; }
        place += done; size -= (size_t)done;
    }
    return 1;
}
static void redirect(const char *path, int flags, int number) {
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0666);
    if (file < 0) _exit(126);
    dup2(file, number);
    if (file != number) syscall(SYS_close, file);
}
static void limit(int which, long value) {
    if (value < 0) return;
    struct rlimit limit = {(rlim_t)value, (rlim_t)value};
    setrlimit(which, &limit);
}

// Runs before what the libraries registered, which would take libtorch's operators down one by one.
static void leave(int status, void *unused) {
    (void)unused;
    fflush(NULL);
    tell();
    _exit(status);
}

static int (*command)(int, char **, char **);
static int torture_main(int argc, char **argv, char **environment) {
    const char *number = getenv("TORTURE_SERVER");
    if (!number) { configure(); return command(argc, argv, environment); }
    int server = atoi(number);
    unsetenv("TORTURE_SERVER");
    for (;;) {
        // Six numbers and then strings that end in zeros: folder, output, errors, the arguments, the environment's changes.
        int64_t head[6];  // bytes, arguments, changes, largest file, open files, reserved
        if (!all(server, head, sizeof head, 0)) _exit(0);
        char *text = malloc((size_t)head[0]);
        if (!text || !all(server, text, (size_t)head[0], 0)) _exit(0);
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            setpgid(0, 0);
            syscall(SYS_close, server);
            char *next = text;
            #define STRING() ({ char *one = next; next += strlen(one) + 1; one; })
            char *folder = STRING(), *output = STRING(), *errors = STRING();
            if (chdir(folder) != 0) _exit(126);
            redirect("/dev/null", O_RDONLY, 0);
            redirect(output, O_WRONLY | O_CREAT | O_TRUNC, 1);
            redirect(errors, O_WRONLY | O_CREAT | O_APPEND, 2);
            char **arguments = calloc((size_t)head[1] + 2, sizeof *arguments);
            arguments[0] = argv[0];
            for (int64_t i = 0; i < head[1]; i++) arguments[i + 1] = STRING();
            for (int64_t i = 0; i < head[2]; i++) {
                char *change = STRING(), *equals = strchr(change, '=');
                if (equals) { *equals = 0; setenv(change, equals + 1, 1); } else unsetenv(change);
            }
            configure();
            limit(RLIMIT_CORE, 0);
            limit(RLIMIT_FSIZE, head[3]);
            limit(RLIMIT_NOFILE, head[4]);
            void (*override)(char **, int) = (void (*)(char **, int))dlsym(RTLD_DEFAULT, "_swift_stdlib_overrideUnsafeArgvArgc");
            if (override) override(arguments, (int)head[1] + 1); else _exit(125);
            on_exit(leave, NULL);
            exit(command((int)head[1] + 1, arguments, environ));
        }
        free(text);
        if (child > 0) setpgid(child, child);
        int64_t answer[4] = {child, 0, 0, 0};
        if (!all(server, answer, 8, 1)) _exit(0);
        int status = -1;
        struct rusage usage = {0};
        while (child > 0 && wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {}
        answer[1] = status;
        answer[2] = usage.ru_maxrss;
        answer[3] = usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec;
        if (!all(server, &answer[1], 24, 1)) _exit(0);
    }
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void), void *stack) {
    REAL(int, "__libc_start_main", int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *);
    // Programs that the command starts, such as gzip, run as they are: `configure` took this library from their environment.
    command = main;
    return real(torture_main, argc, argv, init, fini, end, stack);
}
