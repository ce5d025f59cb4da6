/* Session ids: 15 bytes as 20 characters of base64url, a masked number and 88 random bits (docs/decisions/0003). The
 * number is the session's slot; among several nodes also its owner. Among several machines 9 bytes follow, masked too:
 * the machine and again the owner, for those who cannot read the number. Not here: the table of slots (eio_server.c).
 */
#include "base_base64.h"
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

void eio__ids_set_machine(struct eio__ids *ids, const uint8_t machine[EIO_MACHINE_BYTES], const uint8_t *machine_key)
{
    ids->is_long = true;
    memcpy(ids->machine, machine, sizeof ids->machine);
    memcpy(ids->machine_key, machine_key, sizeof ids->machine_key);
}

/* Both hides and shows the last bytes. */
static void mask_tail(const struct eio__ids *ids, uint8_t id[EIO__LONG_ID_BYTES])
{
    uint8_t hash[crypto_shorthash_siphashx24_BYTES];
    crypto_shorthash_siphashx24(hash, id, EIO__ID_BYTES, ids->machine_key);
    for (size_t i = 0; i <= EIO_MACHINE_BYTES; i++) id[EIO__ID_BYTES + i] ^= hash[i];
}

bool eio__id_make(struct eio__ids *ids, uint32_t slot, char out[EIO__LONG_ID_CHARS + 1])
{
    uint8_t id[EIO__LONG_ID_BYTES];
    if (ids->shared && slot >> SLOT_BITS) return false;
    take_random(ids, id + sizeof slot);
    uint32_t number = ids->shared ? slot | (uint32_t)ids->owner << SLOT_BITS : slot;
    number ^= mask_of(ids, id + sizeof slot);
    memcpy(id, &number, sizeof number);
    if (ids->is_long) {
        memcpy(id + EIO__ID_BYTES, ids->machine, EIO_MACHINE_BYTES);
        id[EIO__ID_BYTES + EIO_MACHINE_BYTES] = (uint8_t)ids->owner;
        mask_tail(ids, id);
    }
    *base_base64url_put(out, id, ids->is_long ? EIO__LONG_ID_BYTES : EIO__ID_BYTES) = '\0';
    return true;
}

bool eio__id_read(const struct eio__ids *ids, const char *sid, size_t size, struct eio__place *out)
{
    uint8_t id[EIO__LONG_ID_BYTES];
    if (size != (ids->is_long ? EIO__LONG_ID_CHARS : EIO__ID_CHARS) || !base_base64url_read(id, sid, size))
        return false;
    if (ids->is_long) {
        mask_tail(ids, id);
        memcpy(out->machine, id + EIO__ID_BYTES, EIO_MACHINE_BYTES);
        out->owner = id[EIO__ID_BYTES + EIO_MACHINE_BYTES];
        out->elsewhere = memcmp(out->machine, ids->machine, EIO_MACHINE_BYTES) != 0;
        if (out->elsewhere) return true;
    }
    uint32_t number;
    memcpy(&number, id, sizeof number);
    number ^= mask_of(ids, id + sizeof number);
    out->elsewhere = false;
    out->owner = ids->shared ? number >> SLOT_BITS : ids->owner;
    out->slot = ids->shared ? number & ((1u << SLOT_BITS) - 1) : number;
    return true;
}
