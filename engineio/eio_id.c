/* Session ids: 15 bytes as 20 characters of base64url, a masked number and 88 random bits (docs/decisions/0003). The
 * number is the session's slot; among several nodes also its owner. Not here: the table of slots (eio_server.c). */
#include "eio_id.h"

#include <sodium.h>
#include <string.h>

enum { SLOT_BITS = 24 };

void eio__ids_init(struct eio__ids *ids, unsigned owner, const uint8_t *owner_key)
{
    memset(ids, 0, sizeof *ids);
    ids->key = randombytes_random();
    ids->owner = owner;
    ids->shared = owner_key != NULL;
    if (owner_key) memcpy(ids->owner_key, owner_key, sizeof ids->owner_key);
}

/* One key for all would show which sessions have the same owner: with the id's own random bytes each has its own mask.
 */
static uint32_t mask_of(const struct eio__ids *ids, const uint8_t *random)
{
    if (!ids->shared) return ids->key;
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, random, EIO__ID_RANDOM_BYTES, ids->owner_key);
    uint32_t mask;
    memcpy(&mask, hash, sizeof mask);
    return mask;
}

/* Drawn for many at once: each draw is a system call. */
static void take_random(struct eio__ids *ids, uint8_t *out)
{
    if (ids->random_left == 0) {
        randombytes_buf(ids->random, sizeof ids->random);
        ids->random_left = sizeof ids->random / EIO__ID_RANDOM_BYTES;
    }
    memcpy(out, ids->random + --ids->random_left * EIO__ID_RANDOM_BYTES, EIO__ID_RANDOM_BYTES);
}

bool eio__id_make(struct eio__ids *ids, uint32_t slot, char out[EIO__ID_CHARS + 1])
{
    uint8_t id[EIO__ID_BYTES];
    if (ids->shared && slot >> SLOT_BITS) return false;
    take_random(ids, id + sizeof slot);
    uint32_t number = ids->shared ? slot | (uint32_t)ids->owner << SLOT_BITS : slot;
    number ^= mask_of(ids, id + sizeof slot);
    memcpy(id, &number, sizeof number);
    sodium_bin2base64(out, EIO__ID_CHARS + 1, id, sizeof id, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return true;
}

bool eio__id_read(const struct eio__ids *ids, const char *sid, size_t size, struct eio__place *out)
{
    uint8_t id[EIO__ID_BYTES];
    size_t decoded;
    if (size != EIO__ID_CHARS || sodium_base642bin(id, sizeof id, sid, size, NULL, &decoded, NULL,
                                                   sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return false;
    uint32_t number;
    memcpy(&number, id, sizeof number);
    number ^= mask_of(ids, id + sizeof number);
    out->owner = ids->shared ? number >> SLOT_BITS : ids->owner;
    out->slot = ids->shared ? number & ((1u << SLOT_BITS) - 1) : number;
    return true;
}
