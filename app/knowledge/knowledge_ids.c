/* Readable ids. Pure. That two documents never have the same id is knowledge_import.c's job. */
#include "knowledge_int.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf8.h>

#define FILE_PART_BYTES 36
#define HEADING_PART_BYTES 56

void knowledge_hash(const char *p, size_t n, char hash[KNOWLEDGE_HASH_SIZE])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[crypto_generichash_BYTES_MIN];
    crypto_generichash(bytes, sizeof bytes, (const unsigned char *)p, n, NULL, 0);
    for (size_t i = 0; i < KNOWLEDGE_HASH_SIZE - 1; i++) hash[i] = letters[bytes[i] & 31];
    hash[KNOWLEDGE_HASH_SIZE - 1] = 0;
}

/* A part being written. */
struct part {
    char *out;
    size_t n, max;
    bool is_lossy; /* letters were left out */
};

static void put_char(struct part *part, char c)
{
    if (part->n < part->max)
        part->out[part->n++] = c;
    else
        part->is_lossy = true;
}

static void put_mark(struct part *part)
{
    if (part->n && part->n < part->max && part->out[part->n - 1] != '-') part->out[part->n++] = '-';
}

/* A letter with a sign is written without it: "ü" as "u". */
static void put_letter(struct part *part, UChar32 c)
{
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2 *nfd = unorm2_getNFDInstance(&status);
    UChar apart[32];
    part->is_lossy = true;
    if (U_FAILURE(status) || unorm2_getDecomposition(nfd, c, apart, 32, &status) < 1 || U_FAILURE(status)) return;
    if (apart[0] < 0x80 && isalnum(apart[0])) put_char(part, (char)tolower(apart[0]));
}

static bool is_between_digits(struct eio_str name, size_t at)
{
    return at > 0 && at + 1 < name.n && isdigit((unsigned char)name.p[at - 1]) &&
           isdigit((unsigned char)name.p[at + 1]);
}

static void put_part(struct part *part, struct eio_str name)
{
    for (size_t i = 0; i < name.n;) {
        size_t at = i;
        UChar32 c;
        U8_NEXT_OR_FFFD((const uint8_t *)name.p, i, name.n, c);
        if (c < 0x80 && isalnum(c))
            put_char(part, (char)tolower(c));
        else if (c == '.' && is_between_digits(name, at))
            put_char(part, '.');
        else if (c >= 0x80 && (U_GET_GC_MASK(c) & (U_GC_L_MASK | U_GC_M_MASK | U_GC_N_MASK | U_GC_S_MASK)))
            put_letter(part, c);
        else
            put_mark(part);
    }
    while (part->n && part->out[part->n - 1] == '-') part->n--;
}

/* Appends one part to slug. */
static void append_part(char slug[KNOWLEDGE_SLUG_SIZE], struct eio_str name, size_t max)
{
    size_t start = strlen(slug);
    struct part part = {slug + start, 0, max, false};
    put_part(&part, name);
    slug[start + part.n] = 0;
    if (part.is_lossy) {
        char hash[KNOWLEDGE_HASH_SIZE];
        knowledge_hash(name.p, name.n, hash);
        if (part.n) strcat(slug, "-");
        strcat(slug, hash);
    } else if (!part.n) {
        strcat(slug, "x");
    }
}

void knowledge_slug(struct eio_str file, struct eio_str heading, char slug[KNOWLEDGE_SLUG_SIZE])
{
    slug[0] = 0;
    append_part(slug, file, FILE_PART_BYTES);
    strcat(slug, ".");
    append_part(slug, heading, HEADING_PART_BYTES);
}
