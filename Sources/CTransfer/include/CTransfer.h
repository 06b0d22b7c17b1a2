// One HTTP transfer by the system's libcurl, which is loaded when it is first needed: what comes from a server is handed on as it comes, and no more is taken
// before that is done, so that no server can fill the memory.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What the last answer (after redirections) says before its body; NULL for a header that is not there.
typedef struct {
    long status;
    const char *content_length, *content_range, *content_encoding, *etag, *last_modified;
} CTransferHead;

/// The callbacks are called on the calling thread, with the context; what is not 0 ends the transfer.
typedef struct {
    const char *address;
    /// Lines such as "Range: bytes=5-", and their number.
    const char *const *headers;
    int header_count;
    /// Seconds that the connection may take to be made.
    long connect_seconds;
    void *context;
    /// Called once, before the first byte of the body, or at the end of an answer without one.
    int (*head)(void *context, const CTransferHead *head);
    int (*body)(void *context, const void *bytes, size_t count);
    /// Called at least once a second, whether anything comes or not.
    int (*tick)(void *context);
} CTransferRequest;

/// What came of it, as far as callers tell them apart.
enum {
    CTRANSFER_OK = 0,
    /// There is no libcurl, or it does not start.
    CTRANSFER_NO_LIBRARY = 1,
    /// A callback ended it.
    CTRANSFER_ENDED = 2,
    /// No connection to such a server, or none that is safe.
    CTRANSFER_UNREACHABLE = 3,
    /// The connection was not made in time.
    CTRANSFER_TIMED_OUT = 4,
    /// The server's answer is no HTTP, or its header has no end.
    CTRANSFER_NO_ANSWER = 5,
    /// The connection broke, or the body ended early or wrong.
    CTRANSFER_BROKEN = 6,
};

/// Runs a transfer to its end. The message gets what libcurl says of a failure, in a line.
int ctransfer_run(const CTransferRequest *request, char *message, size_t message_size);

#ifdef __cplusplus
}
#endif
