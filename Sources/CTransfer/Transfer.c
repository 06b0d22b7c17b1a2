#include "CTransfer.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// libcurl's binary interface, which is stable (its documentation, "ABI"): the numbers are those of curl.h. Few machines have its headers, but all
// with Swift's package manager have the library.
typedef struct Curl Curl;
typedef struct CurlList CurlList;
enum {
    OPTION_WRITE_DATA = 10001,
    OPTION_URL = 10002,
    OPTION_ERROR_BUFFER = 10010,
    OPTION_HTTP_HEADER = 10023,
    OPTION_HEADER_DATA = 10029,
    OPTION_NO_PROGRESS = 43,
    OPTION_FOLLOW_LOCATION = 52,
    OPTION_PROGRESS_DATA = 10057,
    OPTION_MAX_REDIRECTIONS = 68,
    OPTION_CONNECT_TIMEOUT = 78,
    OPTION_NO_SIGNAL = 99,
    OPTION_ACCEPT_ENCODING = 10102,
    OPTION_PROTOCOLS = 181,
    OPTION_REDIRECTION_PROTOCOLS = 182,
    OPTION_WRITE_FUNCTION = 20011,
    OPTION_HEADER_FUNCTION = 20079,
    OPTION_PROGRESS_FUNCTION = 20219,
    INFO_RESPONSE_CODE = 0x200002,
    HTTP_AND_HTTPS = 3,
    GLOBAL_ALL = 3,
    ERROR_SIZE = 256,
};

static struct {
    int (*global_start)(long);
    Curl *(*start)(void);
    int (*set)(Curl *, int, ...);
    int (*perform)(Curl *);
    int (*info)(Curl *, int, ...);
    void (*end)(Curl *);
    const char *(*describe)(int);
    CurlList *(*append)(CurlList *, const char *);
    void (*free_list)(CurlList *);
    int is_ready;
} curl;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib"};
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    *(void **)&curl.global_start = dlsym(library, "curl_global_init");
    *(void **)&curl.start = dlsym(library, "curl_easy_init");
    *(void **)&curl.set = dlsym(library, "curl_easy_setopt");
    *(void **)&curl.perform = dlsym(library, "curl_easy_perform");
    *(void **)&curl.info = dlsym(library, "curl_easy_getinfo");
    *(void **)&curl.end = dlsym(library, "curl_easy_cleanup");
    *(void **)&curl.describe = dlsym(library, "curl_easy_strerror");
    *(void **)&curl.append = dlsym(library, "curl_slist_append");
    *(void **)&curl.free_list = dlsym(library, "curl_slist_free_all");
    curl.is_ready = curl.global_start && curl.start && curl.set && curl.perform && curl.info && curl.end && curl.describe && curl.append &&
                    curl.free_list && curl.global_start(GLOBAL_ALL) == 0;
}

/// The headers that are read, and the space for each value: a longer value counts as missing.
enum { ENCODING = 2, HEADERS = 5, ROOM = 512, MOST_HEADER_BYTES = 1 << 16 };
static const char *const header_names[HEADERS] = {"content-length", "content-range", "content-encoding", "etag", "last-modified"};

typedef struct {
    const CTransferRequest *request;
    Curl *handle;
    size_t header_bytes;
    char values[HEADERS][ROOM];
    int is_there[HEADERS];
    /// Content-Encoding headers of the answer: with several, or others than these, decoders need unbounded memory.
    int encodings;
    int is_given, is_ended, is_too_long, is_badly_encoded;
} State;

static int is_harmless(const char *encoding) {
    static const char *const known[] = {"identity", "gzip", "x-gzip", "deflate"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(encoding, known[i]) == 0) return 1;
    return 0;
}

static int give_head(State *state) {
    if (state->is_given) return 0;
    state->is_given = 1;
    CTransferHead head = {0};
    const char **fields[HEADERS] = {&head.content_length, &head.content_range, &head.content_encoding, &head.etag, &head.last_modified};
    for (int i = 0; i < HEADERS; i++) *fields[i] = state->is_there[i] ? state->values[i] : NULL;
    curl.info(state->handle, INFO_RESPONSE_CODE, &head.status);
    int code = state->request->head(state->request->context, &head);
    if (code) state->is_ended = 1;
    return code;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *data) {
    State *state = data;
    size_t length = size * count;
    // Those of all answers together, including redirections.
    state->header_bytes += length;
    if (state->header_bytes > MOST_HEADER_BYTES) {
        state->is_too_long = 1;
        return 0;
    }
    // More headers may follow the body of a chunked answer; that is too late.
    if (state->is_given) return length;
    if (length >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0) {
        memset(state->is_there, 0, sizeof state->is_there);
        state->encodings = 0;
    }
    for (int i = 0; i < HEADERS; i++) {
        size_t name = strlen(header_names[i]);
        if (length <= name || bytes[name] != ':' || strncasecmp(bytes, header_names[i], name) != 0) continue;
        const char *start = bytes + name + 1, *end = bytes + length;
        while (start < end && (*start == ' ' || *start == '\t')) start++;
        while (end > start && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t')) end--;
        size_t room = (size_t)(end - start);
        state->is_there[i] = room < ROOM && !memchr(start, 0, room);
        if (state->is_there[i]) {
            memcpy(state->values[i], start, room);
            state->values[i][room] = 0;
        }
        if (i == ENCODING && (++state->encodings > 1 || !state->is_there[i] || !is_harmless(state->values[i]))) {
            state->is_badly_encoded = 1;
            return 0;
        }
    }
    return length;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data) {
    State *state = data;
    size_t length = size * count;
    // Returning any number other than the length ends the transfer.
    if (give_head(state)) return length + 1;
    if (length && state->request->body(state->request->context, bytes, length)) {
        state->is_ended = 1;
        return length + 1;
    }
    return length;
}

static int take_tick(void *data, int64_t total, int64_t now, int64_t upload_total, int64_t upload_now) {
    (void)total, (void)now, (void)upload_total, (void)upload_now;
    State *state = data;
    int code = state->request->tick(state->request->context);
    if (code) state->is_ended = 1;
    return code;
}

static int kind(int code) {
    switch (code) {
        case 0: return CTRANSFER_OK;
        // No such host, proxy or connection, no common or trusted encryption, too many redirections, or one to another protocol.
        case 3: case 5: case 6: case 7: case 35: case 47: case 51: case 53: case 54: case 58: case 59: case 60: case 66: case 77: case 80: case 83:
        case 90: case 91: return CTRANSFER_UNREACHABLE;
        case 28: return CTRANSFER_TIMED_OUT;
        // Not HTTP, or an old form of it without a header.
        case 1: case 8: case 43: return CTRANSFER_NO_ANSWER;
        default: return CTRANSFER_BROKEN;
    }
}

int ctransfer_run(const CTransferRequest *request, char *message, size_t message_size) {
    if (message_size) *message = 0;
    pthread_once(&once, load);
    State *state = calloc(1, sizeof *state);
    Curl *handle = curl.is_ready && state ? curl.start() : NULL;
    if (!handle) {
        free(state);
        return CTRANSFER_NO_LIBRARY;
    }
    state->request = request;
    state->handle = handle;
    char error[ERROR_SIZE] = "";
    CurlList *headers = NULL;
    for (int i = 0; i < request->header_count; i++) {
        CurlList *longer = curl.append(headers, request->headers[i]);
        if (longer) headers = longer;
    }
    curl.set(handle, OPTION_URL, request->address);
    curl.set(handle, OPTION_ERROR_BUFFER, error);
    curl.set(handle, OPTION_HTTP_HEADER, headers);
    curl.set(handle, OPTION_HEADER_FUNCTION, take_header);
    curl.set(handle, OPTION_HEADER_DATA, state);
    curl.set(handle, OPTION_WRITE_FUNCTION, take_body);
    curl.set(handle, OPTION_WRITE_DATA, state);
    curl.set(handle, OPTION_NO_PROGRESS, 0L);
    curl.set(handle, OPTION_PROGRESS_FUNCTION, take_tick);
    curl.set(handle, OPTION_PROGRESS_DATA, state);
    curl.set(handle, OPTION_CONNECT_TIMEOUT, request->connect_seconds);
    curl.set(handle, OPTION_NO_SIGNAL, 1L);
    curl.set(handle, OPTION_FOLLOW_LOCATION, 1L);
    curl.set(handle, OPTION_MAX_REDIRECTIONS, 10L);
    curl.set(handle, OPTION_PROTOCOLS, (long)HTTP_AND_HTTPS);
    curl.set(handle, OPTION_REDIRECTION_PROTOCOLS, (long)HTTP_AND_HTTPS);
    // Decodes what a server compresses for transfer despite our request.
    curl.set(handle, OPTION_ACCEPT_ENCODING, "gzip, deflate");
    // A lost connection is a transfer error: libcurl, told to leave signals alone, leaves this one to us.
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int code = curl.perform(handle);
    // For an answer without a body.
    if (code == 0) give_head(state);
    const char *defect = state->is_too_long        ? "a header of more than 64 KiB"
                         : state->is_badly_encoded ? "a content encoding other than gzip and deflate, or several"
                                                   : NULL;
    int result = state->is_ended ? CTRANSFER_ENDED : defect ? CTRANSFER_NO_ANSWER : kind(code);
    if (message_size) {
        const char *reason = defect ? defect : error[0] ? error : curl.describe(code);
        snprintf(message, message_size, "%s", reason);
        for (char *c = message; *c; c++)
            if ((unsigned char)*c < 32 || *c == 127) *c = ' ';
    }
    curl.end(handle);
    int taken;
    if (!sigismember(&before, SIGPIPE) && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE)) sigwait(&pipe_signal, &taken);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    curl.free_list(headers);
    free(state);
    return result;
}
