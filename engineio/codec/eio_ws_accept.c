/* The WebSocket opening handshake's key (RFC 6455, section 4.2.2). Apart from the frame codec because it needs
 * SHA-1. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "eio_codec.h"

#include <openssl/sha.h>
#include <string.h>

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

void eio__ws_accept(struct eio_str key, char out[29])
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA_CTX sha;
    /* The old interface on purpose: EVP and the one-call SHA1() look the algorithm up and allocate, each time. */
    SHA1_Init(&sha);
    SHA1_Update(&sha, key.p, key.n);
    SHA1_Update(&sha, guid, sizeof guid - 1);
    SHA1_Final(digest, &sha);
    *eio__base64_put((uint8_t *)out, digest, sizeof digest) = '\0';
}

bool eio__ws_key_valid(struct eio_str key)
{
    /* 16 bytes are 22 digits. The spare bits of the last one are ignored, as in ws. */
    if (key.n != 24 || memcmp(key.p + 22, "==", 2) != 0) return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!digit) return false;
    }
    return true;
}
