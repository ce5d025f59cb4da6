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
