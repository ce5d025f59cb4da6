/* Text that grows, and the bytes of a file as text. */
#include "knowledge_int.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/ucnv.h>
#include <unicode/utf8.h>

void knowledge_text_append(struct knowledge_text *text, const char *p, size_t n)
{
    if (text->n + n + 1 > text->capacity) {
        size_t capacity = (text->n + n + 1) * 2;
        char *grown = text->failed ? NULL : realloc(text->p, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->p = grown;
        text->capacity = capacity;
    }
    if (n) memcpy(text->p + text->n, p, n);
    text->n += n;
    text->p[text->n] = 0;
}

void knowledge_text_put(struct knowledge_text *text, const char *p)
{
    knowledge_text_append(text, p, strlen(p));
}

void knowledge_text_clear(struct knowledge_text *text)
{
    free(text->p);
    memset(text, 0, sizeof *text);
}

char *knowledge_text_take(struct knowledge_text *text)
{
    knowledge_text_append(text, "", 0);
    char *p = text->p;
    if (text->failed) {
        free(p);
        p = NULL;
    }
    memset(text, 0, sizeof *text);
    return p;
}

struct eio_str knowledge_trim(struct eio_str s)
{
    while (s.n && isspace((unsigned char)s.p[0])) s.p++, s.n--;
    while (s.n && isspace((unsigned char)s.p[s.n - 1])) s.n--;
    return s;
}

char *knowledge_fold_words(const char *text)
{
    struct knowledge_text out = {NULL, 0, 0, false};
    bool is_inside = false;
    for (size_t i = 0; text[i];) {
        char bytes[U8_MAX_LENGTH];
        size_t n = 0;
        UChar32 c;
        U8_NEXT_OR_FFFD((const uint8_t *)text, i, -1, c);
        bool is_word = u_isalnum(c) || (U_GET_GC_MASK(c) & U_GC_M_MASK);
        if (is_word && !is_inside) knowledge_text_append(&out, " ", 1);
        is_inside = is_word;
        if (!is_word) continue;
        U8_APPEND_UNSAFE(bytes, n, u_foldCase(c, U_FOLD_CASE_DEFAULT));
        knowledge_text_append(&out, bytes, n);
    }
    return knowledge_text_take(&out);
}

/* ---------------------------------------------------------------- encoding */

/* Appends with every CR LF and CR as LF. */
static void append_lines(struct knowledge_text *out, const char *p, size_t n)
{
    const char *end = p + n, *cr;
    while ((cr = memchr(p, '\r', (size_t)(end - p)))) {
        knowledge_text_append(out, p, (size_t)(cr - p));
        knowledge_text_append(out, "\n", 1);
        p = cr + 1;
        if (p < end && *p == '\n') p++;
    }
    knowledge_text_append(out, p, (size_t)(end - p));
}

static int refuse(const char *name, size_t offset, const char *why, char *error, size_t error_size)
{
    snprintf(error, error_size, "%s: %s at byte %zu", name, why, offset);
    return EIO_EINVAL;
}

static int check_utf8(const char *name, struct eio_str bytes, size_t start, char *error, size_t error_size)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    for (size_t i = start; i < bytes.n;) {
        size_t at = i;
        UChar32 c;
        U8_NEXT(p, i, bytes.n, c);
        if (c > 0) continue;
        char why[128] = "a NUL byte (UTF-16 and UTF-32 need a byte order mark)";
        if (c < 0) snprintf(why, sizeof why, "not UTF-8 (0x%02X; save the file as UTF-8)", p[at]);
        return refuse(name, at, why, error, error_size);
    }
    return 0;
}

#define PIECE 4096

/* Appends the whole input as UTF-8. Returns 0 or EIO_EINVAL with *offset at what could not be converted. */
static int convert(UConverter *from, UConverter *to, struct eio_str bytes, size_t *offset, struct knowledge_text *out)
{
    UChar pivot[PIECE], *pivot_source = pivot, *pivot_target = pivot;
    const char *source = bytes.p, *end = bytes.p + bytes.n;
    char piece[PIECE], *target;
    UErrorCode status;
    UBool reset = true;
    do {
        target = piece;
        status = U_ZERO_ERROR;
        ucnv_convertEx(to, from, &target, piece + sizeof piece, &source, end, pivot, &pivot_source, &pivot_target,
                       pivot + PIECE, reset, true, &status);
        knowledge_text_append(out, piece, (size_t)(target - piece));
        reset = false;
    } while (status == U_BUFFER_OVERFLOW_ERROR);
    if (U_SUCCESS(status)) return 0;
    char invalid[32];
    int8_t invalid_size = sizeof invalid;
    UErrorCode ignored = U_ZERO_ERROR;
    ucnv_getInvalidChars(from, invalid, &invalid_size, &ignored);
    *offset = (size_t)(source - bytes.p);
    if (U_SUCCESS(ignored) && (size_t)invalid_size <= *offset) *offset -= (size_t)invalid_size;
    return EIO_EINVAL;
}

static int decode_wide(const char *name, const char *encoding, struct eio_str bytes, int32_t mark,
                       struct knowledge_text *out, char *error, size_t error_size)
{
    UErrorCode status = U_ZERO_ERROR;
    struct knowledge_text utf8 = {NULL, 0, 0, false};
    struct eio_str body = {bytes.p + mark, bytes.n - (size_t)mark};
    UConverter *from = ucnv_open(encoding, &status), *to = ucnv_open("UTF-8", &status);
    size_t offset = 0;
    ucnv_setToUCallBack(from, UCNV_TO_U_CALLBACK_STOP, NULL, NULL, NULL, &status);
    int failed = U_FAILURE(status) ? EIO_ENOMEM : convert(from, to, body, &offset, &utf8);
    if (failed == EIO_ENOMEM || utf8.failed) {
        snprintf(error, error_size, "%s: out of memory", name);
        failed = EIO_ENOMEM;
    } else if (failed) {
        char why[64];
        snprintf(why, sizeof why, "not %s", encoding);
        refuse(name, offset + (size_t)mark, why, error, error_size);
    } else if (memchr(utf8.p ? utf8.p : "", 0, utf8.n)) {
        snprintf(error, error_size, "%s: U+0000 is not text", name);
        failed = EIO_EINVAL;
    } else {
        append_lines(out, utf8.p, utf8.n);
    }
    ucnv_close(from);
    ucnv_close(to);
    knowledge_text_clear(&utf8);
    return failed;
}

int knowledge_decode(const char *name, struct eio_str bytes, struct knowledge_text *out, char *error, size_t error_size)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t mark = 0, head = bytes.n < 8 ? (int32_t)bytes.n : 8;
    const char *encoding = ucnv_detectUnicodeSignature(bytes.p, head, &mark, &status);
    bool is_wide = encoding && (!strncmp(encoding, "UTF-16", 6) || !strncmp(encoding, "UTF-32", 6));
    if (is_wide) return decode_wide(name, encoding, bytes, mark, out, error, error_size);
    size_t start = encoding && !strcmp(encoding, "UTF-8") ? (size_t)mark : 0;
    int failed = check_utf8(name, bytes, start, error, error_size);
    if (failed) return failed;
    append_lines(out, bytes.p + start, bytes.n - start);
    if (!out->failed) return 0;
    snprintf(error, error_size, "%s: out of memory", name);
    return EIO_ENOMEM;
}
