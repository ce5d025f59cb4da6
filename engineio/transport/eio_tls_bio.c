/* A BIO over two stretches of memory. It never writes less than it is asked to, so that OpenSSL never has to be given
 * the same bytes again. */
#include "eio_tls_bio.h"

#include <stdlib.h>
#include <string.h>

static int bio_read(BIO *bio, char *p, size_t size, size_t *done)
{
    struct eio__tls_bio *memory = BIO_get_data(bio);
    size_t n = size < memory->in_size ? size : memory->in_size;
    BIO_clear_retry_flags(bio);
    *done = n;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(p, memory->in, n);
    memory->in += n;
    memory->in_size -= n;
    return 1;
}

static int bio_write(BIO *bio, const char *p, size_t n, size_t *done)
{
    struct eio__tls_bio *memory = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *done = 0;
    if (n > sizeof memory->out - memory->out_size) return 0; /* the connection is broken */
    memcpy(memory->out + memory->out_size, p, n);
    memory->out_size += n;
    *done = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
    (void)bio;
    (void)number;
    (void)p;
    if (command == BIO_CTRL_FLUSH) return 1;
    return command == BIO_C_GET_FD ? -1 : 0; /* libevent would close it */
}

struct eio__tls_bio *eio__tls_bio_new(void)
{
    struct eio__tls_bio *memory = malloc(sizeof *memory);
    if (!memory) return NULL;
    memory->in = NULL;
    memory->in_size = memory->out_size = 0;
    memory->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "loop");
    memory->bio = memory->method ? BIO_new(memory->method) : NULL;
    if (!memory->bio) {
        eio__tls_bio_free(memory);
        return NULL;
    }
    BIO_meth_set_read_ex(memory->method, bio_read);
    BIO_meth_set_write_ex(memory->method, bio_write);
    BIO_meth_set_ctrl(memory->method, bio_ctrl);
    BIO_set_data(memory->bio, memory);
    BIO_set_init(memory->bio, 1);
    return memory;
}

void eio__tls_bio_free(struct eio__tls_bio *memory)
{
    if (!memory) return;
    BIO_free(memory->bio);
    BIO_meth_free(memory->method);
    free(memory);
}
