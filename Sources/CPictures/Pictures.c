#include "CPictures.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *load(const char *const *names, size_t count) {
    void *library = NULL;
    for (size_t i = 0; !library && i < count; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static int fail(char *message, size_t size, const char *problem) {
    snprintf(message, size, "%s", problem && *problem ? problem : "an unknown error");
    return CPICTURES_BAD;
}

// -- PNG: libpng's simplified interface, whose structure carries its own version (png.h, "SIMPLIFIED API").

typedef struct {
    void *opaque;
    uint32_t version, width, height, format, flags, colormap_entries, warning_or_error;
    char message[64];
} PNGImage;
enum { PNG_VERSION = 1, PNG_ALPHA = 1, PNG_COLOUR = 2, PNG_ERROR = 2, PNG_16_BITS_ARE_SRGB = 4 };

static struct {
    int (*begin)(PNGImage *, const void *, size_t);
    int (*finish)(PNGImage *, const void *background, void *buffer, int32_t row_stride, void *colormap);
    void (*free)(PNGImage *);
    int is_ready;
} png;

static void load_png(void) {
    static const char *const names[] = {"libpng16.so.16", "libpng16.16.dylib", "/opt/homebrew/lib/libpng16.16.dylib"};
    void *library = load(names, sizeof names / sizeof *names);
    if (!library) return;
    *(void **)&png.begin = dlsym(library, "png_image_begin_read_from_memory");
    *(void **)&png.finish = dlsym(library, "png_image_finish_read");
    *(void **)&png.free = dlsym(library, "png_image_free");
    png.is_ready = png.begin && png.finish && png.free;
}

int cpictures_png(const void *bytes, size_t count, int decodes, CPicture *picture, char *message, size_t message_size) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_png);
    if (!png.is_ready) return CPICTURES_NO_LIBRARY;
    PNGImage image = {.version = PNG_VERSION};
    if (!png.begin(&image, bytes, count)) return fail(message, message_size, image.message);
    int channels = image.format & PNG_COLOUR ? 3 : 1;
    *picture = (CPicture){.width = (int)image.width, .height = (int)image.height, .channels = channels};
    if (!decodes) {
        png.free(&image);
        return CPICTURES_OK;
    }
    // With the transparency, which is then left out: without it, libpng would mix the colours with a background.
    image.flags |= PNG_16_BITS_ARE_SRGB;
    image.format = PNG_ALPHA | (channels == 3 ? PNG_COLOUR : 0);
    size_t pixels = (size_t)image.width * image.height;
    unsigned char *buffer = malloc(pixels * (size_t)(channels + 1));
    if (!buffer) {
        png.free(&image);
        return CPICTURES_NO_MEMORY;
    }
    if (!png.finish(&image, NULL, buffer, 0, NULL) || (image.warning_or_error & PNG_ERROR)) {
        free(buffer);
        return fail(message, message_size, image.message);
    }
    for (size_t i = 0; i < pixels; i++) memmove(buffer + i * (size_t)channels, buffer + i * (size_t)(channels + 1), (size_t)channels);
    picture->pixels = buffer;
    return CPICTURES_OK;
}

// -- JPEG: libjpeg-turbo's TurboJPEG interface, whose functions of version 2 stay in version 3 (turbojpeg.h).

enum { JPEG_RGB = 0, JPEG_GREY = 6, JPEG_SPACE_GREY = 2, JPEG_ACCURATE = 4096, JPEG_STOP_ON_WARNING = 8192 };

static struct {
    void *(*start)(void);
    int (*header)(void *, const unsigned char *, unsigned long, int *width, int *height, int *subsampling, int *space);
    int (*decompress)(void *, const unsigned char *, unsigned long, unsigned char *, int width, int pitch, int height, int format, int flags);
    char *(*problem)(void *);
    int (*end)(void *);
    int is_ready;
} jpeg;

static void load_jpeg(void) {
    static const char *const names[] = {"libturbojpeg.so.0", "libturbojpeg.0.dylib", "/opt/homebrew/lib/libturbojpeg.0.dylib"};
    void *library = load(names, sizeof names / sizeof *names);
    if (!library) return;
    *(void **)&jpeg.start = dlsym(library, "tjInitDecompress");
    *(void **)&jpeg.header = dlsym(library, "tjDecompressHeader3");
    *(void **)&jpeg.decompress = dlsym(library, "tjDecompress2");
    *(void **)&jpeg.problem = dlsym(library, "tjGetErrorStr2");
    *(void **)&jpeg.end = dlsym(library, "tjDestroy");
    jpeg.is_ready = jpeg.start && jpeg.header && jpeg.decompress && jpeg.problem && jpeg.end;
}

int cpictures_jpeg(const void *bytes, size_t count, int decodes, CPicture *picture, char *message, size_t message_size) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_jpeg);
    if (!jpeg.is_ready) return CPICTURES_NO_LIBRARY;
    void *handle = jpeg.start();
    if (!handle) return CPICTURES_NO_MEMORY;
    int width = 0, height = 0, subsampling = 0, space = 0, code = CPICTURES_OK;
    unsigned char *buffer = NULL;
    if (jpeg.header(handle, bytes, (unsigned long)count, &width, &height, &subsampling, &space) != 0 || width < 1 || height < 1) {
        code = fail(message, message_size, jpeg.problem(handle));
    } else {
        int channels = space == JPEG_SPACE_GREY ? 1 : 3;
        *picture = (CPicture){.width = width, .height = height, .channels = channels};
        if (decodes && !(buffer = malloc((size_t)width * (size_t)height * (size_t)channels))) code = CPICTURES_NO_MEMORY;
        if (buffer && jpeg.decompress(
                          handle, bytes, (unsigned long)count, buffer, width, 0, height, channels == 1 ? JPEG_GREY : JPEG_RGB,
                          JPEG_ACCURATE | JPEG_STOP_ON_WARNING) != 0)
            code = fail(message, message_size, jpeg.problem(handle));
        if (code == CPICTURES_OK) {
            picture->pixels = buffer;
            buffer = NULL;
        }
    }
    free(buffer);
    jpeg.end(handle);
    return code;
}

void cpictures_free(unsigned char *pixels) { free(pixels); }
