/* A borrowed slice of text, not terminated, and helpers for any slice of text. p may be NULL when n is 0. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct base_str {
    const char *p;
    size_t n;
};

/* memcmp() == 0 for names, which are short: their two ends, which may overlap, are compared, and nothing is called. */
static inline bool base_same_bytes(const char *a, const char *b, size_t n)
{
    if (n > 16) return memcmp(a, b, n) == 0;
    if (n >= 8) {
        uint64_t first[2], last[2];
        memcpy(first, a, 8);
        memcpy(first + 1, b, 8);
        memcpy(last, a + n - 8, 8);
        memcpy(last + 1, b + n - 8, 8);
        return first[0] == first[1] && last[0] == last[1];
    }
    if (n >= 4) {
        uint32_t first[2], last[2];
        memcpy(first, a, 4);
        memcpy(first + 1, b, 4);
        memcpy(last, a + n - 4, 4);
        memcpy(last + 1, b + n - 4, 4);
        return first[0] == first[1] && last[0] == last[1];
    }
    return n == 0 || (a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1]);
}

/* Spaces and tabs: what HTTP calls OWS. */
static inline bool base_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Takes blanks off both ends. p and n are the fields of any slice. */
static inline void base_str_trim(const char **p, size_t *n)
{
    while (*n && base_is_blank(**p)) ++*p, --*n;
    while (*n && base_is_blank((*p)[*n - 1])) --*n;
}

/* Write a text without a terminator. Return the end. */
static inline char *base_put_bytes(char *out, const char *p, size_t n)
{
    if (n) memcpy(out, p, n);
    return out + n;
}
static inline char *base_put_text(char *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n);
    return out + n;
}

/* The digits of a number; writes them without a terminator, at most BASE_DECIMAL_CHARS, and returns the end. */
enum { BASE_DECIMAL_CHARS = 20 };
size_t base_decimal_size(uint64_t value);
char *base_put_decimal(char *out, uint64_t value);

/* The value of a hexadecimal digit, or -1. */
static inline int base_hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
