/* Where OpenSSL reads and writes the records of a loop's WebSockets: memory, which eio_tls_io.c fills from a socket and
 * empties into one. All of them share one BIO, since OpenSSL is called for one at a time. Private to this library. */
#ifndef EIO_TLS_BIO_H
#define EIO_TLS_BIO_H

#include <openssl/bio.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EIO__TLS_PLAIN_BYTES = 16384,   /* in one record, at most */
    EIO__TLS_RECORD_BYTES = 16896,  /* of one record on the wire, at least its largest size */
    EIO__TLS_IN_BYTES = 65536,      /* read from a socket at once, at most */
    EIO__TLS_OUT_BYTES = 2 * 65536, /* what reading makes OpenSSL write is no longer than what was read */
};

struct eio__tls_bio {
    BIO *bio;
    BIO_METHOD *method;
    const uint8_t *in; /* not read yet */
    size_t in_size;
    size_t out_size; /* written and not taken yet */
    uint8_t in_bytes[EIO__TLS_IN_BYTES];
    uint8_t out[EIO__TLS_OUT_BYTES];
    uint8_t plain[EIO__TLS_PLAIN_BYTES]; /* for one record, out of several parts */
};

/* NULL: out of memory. */
struct eio__tls_bio *eio__tls_bio_new(void);
/* Accepts NULL. Every SSL that was given the BIO has a reference of its own, but is not used after this. */
void eio__tls_bio_free(struct eio__tls_bio *bio);

#endif
