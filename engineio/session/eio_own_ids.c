/* Session ids that an application gave (eio_admit_as). Ours contain the slot of their session; these are found by a
 * hash table, which is empty and not searched without such names. */
#include "eio_int.h"

#include <sodium.h>
#include <string.h>

bool eio__own_id_valid(const char *id)
{
    size_t n = 0;
    for (; id && id[n] && n <= EIO_ID_BYTES_MAX; n++)
        if (id[n] <= ' ' || id[n] > '~' || strchr("\",;\\", id[n])) return false;
    return n > 0 && n <= EIO_ID_BYTES_MAX;
}

static uint32_t hash_of(const struct eio__own_ids *ids, const char *id, size_t size)
{
    uint8_t digest[crypto_shorthash_BYTES];
    uint32_t hash;
    crypto_shorthash(digest, (const uint8_t *)id, size, ids->key);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

void eio__own_ids_init(struct eio__own_ids *ids)
{
    crypto_shorthash_keygen(ids->key);
}

/* The ids themselves are freed with their sessions. */
void eio__own_ids_clear(struct eio__own_ids *ids)
{
    base_table_clear(&ids->table);
}

int eio__own_ids_add(struct eio__own_ids *ids, const char *id, struct eio_session *session)
{
    size_t size = strlen(id);
    struct eio__own_id *own = malloc(sizeof *own + size + 1);
    if (!own || base_table_add(&ids->table, hash_of(ids, id, size), own) != BASE_OK) {
        free(own);
        return EIO_ENOMEM;
    }
    memcpy(own->text, id, size + 1);
    own->session = session;
    session->own_id = own;
    session->has_own_id = true;
    return 0;
}

void eio__own_ids_remove(struct eio__own_ids *ids, struct eio_session *session)
{
    struct eio__own_id *own = session->own_id;
    base_table_remove(&ids->table, hash_of(ids, own->text, strlen(own->text)), own);
}

struct eio_session *eio__own_ids_find(const struct eio__own_ids *ids, const char *id, size_t size)
{
    if (ids->table.count == 0) return NULL;
    uint32_t hash = hash_of(ids, id, size);
    size_t at;
    for (struct eio__own_id *own = base_table_first(&ids->table, hash, &at); own;
         own = base_table_next(&ids->table, hash, &at))
        if (strlen(own->text) == size && sodium_memcmp(own->text, id, size) == 0) return own->session;
    return NULL;
}
