/* Base64 (RFC 4648), for what is no secret: libsodium's takes constant time, and twenty times as long. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes (n + 2) / 3 * 4 characters, without a terminator. Returns the end. */
char *base_base64_put(char *out, const uint8_t *p, size_t n);
/* The alphabet for URLs, without padding: (n * 4 + 2) / 3 characters. */
char *base_base64url_put(char *out, const uint8_t *p, size_t n);
/* Reads n such characters into n * 3 / 4 bytes. False: another character, a length that no bytes have, or bits behind
 * the last byte. */
bool base_base64url_read(uint8_t *out, const char *p, size_t n);

#endif
