/* The WebSocket handshake's proof (RFC 6455, section 4.2.2): base64(SHA-1(key + GUID)). */
#include "eio_codec.h"

#include <openssl/sha.h>
#include <sodium.h>
#include <string.h>

void eio__ws_accept(struct eio_str key, char out[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[24 + sizeof guid - 1], digest[SHA_DIGEST_LENGTH];
    memcpy(text, key.p, 24);
    memcpy(text + 24, guid, sizeof guid - 1);
    SHA1(text, sizeof text, digest);
    sodium_bin2base64(out, 29, digest, sizeof digest, sodium_base64_VARIANT_ORIGINAL);
}

bool eio__ws_key_valid(struct eio_str key)
{
    uint8_t nonce[16];
    size_t size;
    return key.n == 24 &&
           sodium_base642bin(nonce, sizeof nonce, key.p, key.n, NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) ==
               0 &&
           size == sizeof nonce;
}
