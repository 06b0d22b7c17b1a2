// One HTTP transfer by the system's libcurl, which is loaded when first needed: data from a server is passed on as it arrives, and no more is read
// before that is done, so that no server can fill the memory.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What the last answer (after redirections) says before its body; NULL for a missing header.
typedef struct {
    long status;
    const char *content_length, *content_range, *content_encoding, *etag, *last_modified;
} CTransferHead;

/// The callbacks are called on the calling thread, with the context; a return value other than 0 ends the transfer.
typedef struct {
    const char *address;
    /// Lines such as "Range: bytes=5-", and their number.
    const char *const *headers;
    int header_count;
    /// Seconds allowed for making the connection.
    long connect_seconds;
    void *context;
    /// Called once, before the first byte of the body, or at the end of an answer without one.
    int (*head)(void *context, const CTransferHead *head);
    int (*body)(void *context, const void *bytes, size_t count);
    /// Called at least once a second, whether or not anything arrives.
    int (*tick)(void *context);
} CTransferRequest;

/// The outcome, as far as callers distinguish.
enum {
    CTRANSFER_OK = 0,
    /// There is no libcurl, or it cannot be initialized.
    CTRANSFER_NO_LIBRARY = 1,
    /// A callback ended it.
    CTRANSFER_ENDED = 2,
    /// No connection to the server, or no safe one.
    CTRANSFER_UNREACHABLE = 3,
    /// The connection was not made in time.
    CTRANSFER_TIMED_OUT = 4,
    /// The server's answer is not HTTP, or its header has no end.
    CTRANSFER_NO_ANSWER = 5,
    /// The connection broke, or the body ended early or was malformed.
    CTRANSFER_BROKEN = 6,
};

/// Runs a transfer to its end. On failure the message is what libcurl says, in one line.
int ctransfer_run(const CTransferRequest *request, char *message, size_t message_size);

#ifdef __cplusplus
}
#endif
