/* What another node may notify, and what may be in the row that it names: JSON, msgpack, with or without a namespace.
 */
#include "rooms_cluster_wire.h"
#include "rooms_postgresql_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

static const struct rooms_name nsp = {"/", 1};

/* What was read is written as this node writes it, and reads the same again. */
static void write_and_read_header(const struct rooms__pg_header *header)
{
    struct rooms_packer packer;
    struct rooms__pg_header again;
    rooms_packer_init(&packer);
    rooms__pg_header_put(&packer, (struct rooms_name){header->uid, strlen(header->uid)}, ROOMS_CLUSTER_BROADCAST);
    rooms__put_uint(&packer, header->attachment);
    rooms__put(&packer, ROOMS__PG_HEADER_END);
    MUST(packer.error == 0);
    MUST(rooms__pg_header_read((struct rooms_bytes){packer.bytes, packer.size}, &again) == 1);
    MUST(again.attachment == header->attachment && strcmp(again.uid, header->uid) == 0);
    rooms_packer_clear(&packer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct rooms_bytes payload = {data, size};
    struct rooms__pg_header header;
    struct rooms__cluster_reading reading, strict;
    char table[80] = {0};
    int is_header = rooms__pg_header_read(payload, &header);
    MUST(is_header >= ROOMS_EINVAL && is_header <= 1);
    if (is_header == 1) write_and_read_header(&header);
    memcpy(table, data, size < sizeof table - 1 ? size : sizeof table - 1);
    if (rooms_postgresql_table_is_valid(table)) MUST(!strpbrk(table, " ;'\"\\()-"));
    int error = rooms__cluster_read_of_channel(&reading, payload, nsp);
    int strict_error = rooms__cluster_read(&strict, payload, nsp);
    MUST(error == 0 || strict_error != 0); /* the channel allows more, never less */
    if (error == 0) rooms__cluster_reading_clear(&reading);
    if (strict_error == 0) rooms__cluster_reading_clear(&strict);
    return 0;
}
