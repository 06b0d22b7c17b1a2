// Pictures decoded by the system's libpng and libjpeg-turbo, which are loaded when first needed.
#pragma once
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The outcome, as far as callers distinguish.
enum {
    CPICTURES_OK = 0,
    /// The library is not on this machine.
    CPICTURES_NO_LIBRARY = 1,
    /// The bytes are no such picture, or a damaged one; the message says what is wrong.
    CPICTURES_BAD = 2,
    /// There is no memory for it.
    CPICTURES_NO_MEMORY = 3,
};

/// A picture: 8 bits a channel, row-major, the channels of a pixel side by side.
typedef struct {
    int width, height;
    /// 1 for grey, 3 for red, green and blue.
    int channels;
    /// NULL if only the header was asked for; free it with `cpictures_free`.
    unsigned char *pixels;
} CPicture;

/// Reads a PNG picture, or with `decodes` 0 its header alone. What it says of transparency is left out.
int cpictures_png(const void *bytes, size_t count, int decodes, CPicture *picture, char *message, size_t message_size);
/// The same for a JPEG picture.
int cpictures_jpeg(const void *bytes, size_t count, int decodes, CPicture *picture, char *message, size_t message_size);
void cpictures_free(unsigned char *pixels);

#ifdef __cplusplus
}
#endif
