/* A vector for every word piece; a text is the sum of its pieces. English only. */
#include "knowledge_index.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#define VERSION 1
#define HEADER_BYTES 16
#define FIRST_PIECE 999 /* preceded by marks that are not text */
#define WORD_BYTES_MAX 100
#define PIECE_BYTES_MAX 64

struct piece {
    const char *p;
    uint8_t n;
};

struct knowledge_table {
    const float *scales;
    const int8_t *vectors;
    struct piece *pieces;
    uint32_t count;
    uint32_t *slots; /* piece + 1 by its hash, 0: empty */
    uint32_t slot_mask;
};

static uint32_t hash_piece(const char *p, size_t n)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)p[i]) * 16777619u;
    return hash;
}

/* The piece's number + 1, 0 if absent. */
static uint32_t find_piece(const struct knowledge_table *table, const char *p, size_t n)
{
    for (uint32_t i = hash_piece(p, n) & table->slot_mask; table->slots[i]; i = (i + 1) & table->slot_mask) {
        const struct piece *piece = &table->pieces[table->slots[i] - 1];
        if (piece->n == n && !memcmp(piece->p, p, n)) return table->slots[i];
    }
    return 0;
}

static int index_pieces(struct knowledge_table *table, const uint8_t *p, const uint8_t *end)
{
    table->slot_mask = 1;
    while (table->slot_mask < table->count * 2) table->slot_mask *= 2;
    table->pieces = calloc(table->count, sizeof *table->pieces);
    table->slots = calloc(table->slot_mask, sizeof *table->slots);
    table->slot_mask--;
    if (!table->pieces || !table->slots) return EIO_ENOMEM;
    for (uint32_t i = 0; i < table->count; i++) {
        if (p == end || end - p < 1 + p[0]) return EIO_EINVAL;
        struct piece *piece = &table->pieces[i];
        piece->p = (const char *)p + 1;
        piece->n = p[0];
        p += 1 + p[0];
        if (i < FIRST_PIECE || !piece->n) continue;
        uint32_t slot = hash_piece(piece->p, piece->n) & table->slot_mask;
        while (table->slots[slot]) slot = (slot + 1) & table->slot_mask;
        table->slots[slot] = i + 1;
    }
    return 0;
}

struct knowledge_table *knowledge_table_new(struct eio_str bytes)
{
    uint32_t version, count, width;
    if (bytes.n < HEADER_BYTES || memcmp(bytes.p, "PSTV", 4) || (uintptr_t)bytes.p % sizeof(float)) return NULL;
    memcpy(&version, bytes.p + 4, 4);
    memcpy(&count, bytes.p + 8, 4);
    memcpy(&width, bytes.p + 12, 4);
    if (version != VERSION || width != KNOWLEDGE_VECTOR || count > 1u << 20 ||
        bytes.n - HEADER_BYTES < (size_t)count * (sizeof(float) + KNOWLEDGE_VECTOR))
        return NULL;
    struct knowledge_table *table = calloc(1, sizeof *table);
    if (!table) return NULL;
    table->count = count;
    table->scales = (const float *)(const void *)(bytes.p + HEADER_BYTES);
    table->vectors = (const int8_t *)(table->scales + count);
    const uint8_t *pieces = (const uint8_t *)(table->vectors + (size_t)count * KNOWLEDGE_VECTOR);
    if (!index_pieces(table, pieces, (const uint8_t *)bytes.p + bytes.n)) return table;
    knowledge_table_free(table);
    return NULL;
}

void knowledge_table_free(struct knowledge_table *table)
{
    if (!table) return;
    free(table->pieces);
    free(table->slots);
    free(table);
}

/* -------------------------------------------------------------------- text */

static void add_piece(const struct knowledge_table *table, uint32_t piece, float sum[KNOWLEDGE_VECTOR])
{
    const int8_t *vector = table->vectors + (size_t)piece * KNOWLEDGE_VECTOR;
    float scale = table->scales[piece];
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) sum[i] += scale * (float)vector[i];
}

/* Pieces by the longest match from the left; a word that has a part without a match is left out. word has room for two
 * more bytes in front. */
static void add_word(const struct knowledge_table *table, char *word, size_t n, float sum[KNOWLEDGE_VECTOR])
{
    uint32_t pieces[WORD_BYTES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        char *start = word + i;
        if (i) {
            start -= 2;
            memcpy(start, "##", 2);
        }
        size_t size = (size_t)(word + n - start);
        uint32_t found = 0;
        if (size > PIECE_BYTES_MAX) size = PIECE_BYTES_MAX;
        while (size > (i ? 2u : 0u) && !(found = find_piece(table, start, size))) size--;
        if (!found) return;
        pieces[count++] = found - 1;
        i = (size_t)(start - word) + size;
    }
    for (size_t i = 0; i < count; i++) add_piece(table, pieces[i], sum);
}

static bool is_mark(UChar32 c)
{
    if (c < 0x80) return c > ' ' && !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
    return (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0;
}

/* The letter in lower case without its accents; 0: it is one. */
static UChar32 plain_letter(UChar32 c)
{
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2 *nfd = unorm2_getNFDInstance(&status);
    UChar apart[8];
    if (u_charType(c) == U_NON_SPACING_MARK) return 0;
    c = u_tolower(c);
    int32_t n = U_SUCCESS(status) ? unorm2_getDecomposition(nfd, c, apart, 8, &status) : -1;
    if (n > 0 && U_SUCCESS(status)) U16_GET(apart, 0, 0, n, c);
    return c;
}

/* True if most letters are of the alphabet whose words the table has; of others it has but the letters. */
static bool is_latin(struct eio_str text)
{
    size_t latin = 0, others = 0;
    for (size_t i = 0; i < text.n;) {
        UErrorCode status = U_ZERO_ERROR;
        UChar32 c;
        U8_NEXT_OR_FFFD((const uint8_t *)text.p, i, text.n, c);
        if (!u_isalpha(c)) continue;
        if (uscript_getScript(c, &status) == USCRIPT_LATIN)
            latin++;
        else
            others++;
    }
    return latin > others;
}

/* False: nothing but zeros. */
static bool scale_to_unit(float v[KNOWLEDGE_VECTOR])
{
    double square = 0;
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) square += (double)v[i] * v[i];
    if (square <= 0) return false;
    float factor = (float)(1 / sqrt(square));
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) v[i] *= factor;
    return true;
}

bool knowledge_table_read(const struct knowledge_table *table, struct eio_str text, float vector[KNOWLEDGE_VECTOR])
{
    char buffer[2 + WORD_BYTES_MAX + U8_MAX_LENGTH], *word = buffer + 2;
    size_t n = 0;
    memset(vector, 0, KNOWLEDGE_VECTOR * sizeof *vector);
    if (!is_latin(text)) return false;
    for (size_t i = 0; i <= text.n;) {
        UChar32 c = ' ';
        if (i < text.n)
            U8_NEXT_OR_FFFD((const uint8_t *)text.p, i, text.n, c);
        else
            i++;
        UChar32 letter = plain_letter(c);
        if (!letter) continue;
        bool ends = u_isUWhiteSpace(c) || is_mark(c) || c < ' ';
        if (ends || n >= WORD_BYTES_MAX) {
            if (n < WORD_BYTES_MAX) add_word(table, word, n, vector);
            n = ends ? 0 : n;
        }
        if (ends && is_mark(c)) {
            U8_APPEND_UNSAFE(word, n, letter);
            add_word(table, word, n, vector);
            n = 0;
        } else if (!ends && n < WORD_BYTES_MAX) {
            U8_APPEND_UNSAFE(word, n, letter);
        }
    }
    return scale_to_unit(vector);
}
