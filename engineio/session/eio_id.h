/* Session ids. Private to this library. */
#ifndef EIO_ID_H
#define EIO_ID_H

#include "engineio.h"

enum {
    EIO__ID_CHARS = 20,
    EIO__ID_BYTES = 15,
    EIO__ID_RANDOM_BYTES = 11,
    EIO__ID_POOL_BYTES = 704,
    EIO__LONG_ID_CHARS = 32, /* among several machines */
    EIO__LONG_ID_BYTES = EIO__ID_BYTES + EIO_MACHINE_BYTES + 1,
};

/* What a node makes and reads its ids with. */
struct eio__ids {
    uint32_t key; /* of a node by itself: hides slot numbers */
    unsigned owner;
    bool shared; /* ids name their owner */
    uint8_t owner_key[EIO_OWNER_KEY_BYTES];
    bool is_long; /* ids name their machine too */
    uint8_t machine[EIO_MACHINE_BYTES];
    uint8_t machine_key[EIO_OWNER_KEY_BYTES];
    size_t random_left; /* parts of ids in `random` that were not used yet */
    uint8_t random[EIO__ID_POOL_BYTES];
};

/* The contents of an id. */
struct eio__place {
    bool elsewhere; /* on another machine: slot is not known */
    uint8_t machine[EIO_MACHINE_BYTES];
    unsigned owner;
    uint32_t slot;
};

/* owner_key: EIO_OWNER_KEY_BYTES, or NULL: a node by itself. */
void eio__ids_init(struct eio__ids *ids, unsigned owner, const uint8_t *owner_key);
/* Makes ids long: they also name the machine of their owner, to those with the key (EIO_OWNER_KEY_BYTES). */
void eio__ids_set_machine(struct eio__ids *ids, const uint8_t machine[EIO_MACHINE_BYTES], const uint8_t *machine_key);
/* A new id, NUL-terminated. False: among several nodes a node has no more than 2^24 slots. */
bool eio__id_make(struct eio__ids *ids, uint32_t slot, char out[EIO__LONG_ID_CHARS + 1]);
/* Returns false for a malformed id. A place is read from any characters of the right length: compare the whole id. */
bool eio__id_read(const struct eio__ids *ids, const char *sid, size_t size, struct eio__place *out);

#endif
