/* Session ids that an application gave (eio_admit_as). Ours tell the slot of their session; these are found by a hash
 * table, which is empty, and not asked, where there are none. */
#include "eio_int.h"

#include <sodium.h>
#include <string.h>

enum { MIN_BUCKETS = 64 };

bool eio__own_id_valid(const char *id)
{
    size_t n = 0;
    for (; id && id[n] && n <= EIO_ID_BYTES_MAX; n++)
        if (id[n] <= ' ' || id[n] > '~' || strchr("\",;\\", id[n])) return false;
    return n > 0 && n <= EIO_ID_BYTES_MAX;
}

static size_t bucket_of(const struct eio__own_ids *ids, const char *id, size_t size)
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)id, size, ids->key);
    return hash & (ids->capacity - 1);
}

void eio__own_ids_init(struct eio__own_ids *ids)
{
    crypto_shorthash_keygen(ids->key);
}

/* The ids themselves are freed with their sessions. */
void eio__own_ids_clear(struct eio__own_ids *ids)
{
    free(ids->buckets);
    ids->buckets = NULL;
    ids->capacity = ids->count = 0;
}

static int grow(struct eio__own_ids *ids)
{
    struct eio__own_ids grown = *ids;
    grown.capacity = ids->capacity ? 2 * ids->capacity : MIN_BUCKETS;
    grown.buckets = calloc(grown.capacity, sizeof(struct eio__own_id *));
    if (!grown.buckets) return EIO_ENOMEM;
    for (size_t i = 0; i < ids->capacity; i++) {
        for (struct eio__own_id *id = ids->buckets[i], *next; id; id = next) {
            next = id->next;
            struct eio__own_id **bucket = &grown.buckets[bucket_of(&grown, id->text, strlen(id->text))];
            id->next = *bucket;
            *bucket = id;
        }
    }
    free(ids->buckets);
    *ids = grown;
    return 0;
}

int eio__own_ids_add(struct eio__own_ids *ids, const char *id, struct eio_session *session)
{
    size_t size = strlen(id);
    if (ids->count >= ids->capacity && grow(ids) != 0) return EIO_ENOMEM;
    struct eio__own_id *own = malloc(sizeof *own + size + 1);
    if (!own) return EIO_ENOMEM;
    struct eio__own_id **bucket = &ids->buckets[bucket_of(ids, id, size)];
    memcpy(own->text, id, size + 1);
    own->session = session;
    own->next = *bucket;
    *bucket = own;
    ids->count++;
    session->own_id = own;
    session->has_own_id = true;
    return 0;
}

void eio__own_ids_remove(struct eio__own_ids *ids, struct eio_session *session)
{
    const char *id = session->own_id->text;
    struct eio__own_id **link = &ids->buckets[bucket_of(ids, id, strlen(id))];
    while (*link != session->own_id) link = &(*link)->next;
    *link = session->own_id->next;
    ids->count--;
}

struct eio_session *eio__own_ids_find(const struct eio__own_ids *ids, const char *id, size_t size)
{
    struct eio__own_id *own = ids->capacity ? ids->buckets[bucket_of(ids, id, size)] : NULL;
    for (; own; own = own->next)
        if (strlen(own->text) == size && sodium_memcmp(own->text, id, size) == 0) return own->session;
    return NULL;
}
