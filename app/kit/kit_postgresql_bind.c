/* Arguments of statements in PostgreSQL's binary form. Pure: values in, bytes out. */
#include "kit_postgresql_int.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

void kit_pg_bind(struct kit_pg_arguments *a, const struct kit_value *value)
{
    int i = a->count++;
    a->formats[i] = 1;
    if (value->kind == 'i') {
        a->numbers[i] = htobe64((uint64_t)value->number);
        a->types[i] = KIT_PG_INT8;
        a->values[i] = (const char *)&a->numbers[i];
        a->sizes[i] = sizeof a->numbers[i];
        return;
    }
    a->types[i] = value->kind == 'x' ? KIT_PG_BYTEA : KIT_PG_TEXT;
    a->values[i] = value->bytes;
    a->sizes[i] = (int)value->size;
}

static char *put_be32(char *out, uint32_t number)
{
    number = htobe32(number);
    memcpy(out, &number, sizeof number);
    return out + sizeof number;
}

static char *put_element(char *out, const struct kit_value *value)
{
    uint64_t number = htobe64((uint64_t)value->number);
    bool is_number = value->kind == 'i';
    const void *bytes = is_number ? (const void *)&number : value->bytes;
    size_t size = is_number ? sizeof number : value->size;
    if (!bytes) return put_be32(out, UINT32_MAX);
    out = put_be32(out, (uint32_t)size);
    memcpy(out, bytes, size);
    return out + size;
}

/* The number of dimensions (one), whether there are NULLs, the elements' type; how many there are, the first one's
 * index; then each with its size before it (src/backend/utils/adt/arrayfuncs.c, array_send). */
int kit_pg_bind_column(struct kit_pg_arguments *a, const struct kit_many *many, size_t column)
{
    char kind = many->format[column];
    size_t size = 5 * sizeof(uint32_t);
    bool has_null = false;
    for (size_t i = 0; i < many->count; i++) {
        const struct kit_value *value = &many->values[i * many->columns + column];
        has_null |= kind != 'i' && !value->bytes;
        size += sizeof(uint32_t) + (kind == 'i' ? sizeof(uint64_t) : value->size);
    }
    char *bytes = size <= INT32_MAX ? malloc(size) : NULL, *out = bytes;
    if (!bytes) return KIT_FAILED;
    out = put_be32(out, 1);
    out = put_be32(out, has_null);
    out = put_be32(out, kind == 'i' ? KIT_PG_INT8 : kind == 'x' ? KIT_PG_BYTEA : KIT_PG_TEXT);
    out = put_be32(out, (uint32_t)many->count);
    out = put_be32(out, 1);
    for (size_t i = 0; i < many->count; i++) out = put_element(out, &many->values[i * many->columns + column]);
    a->types[a->count] = kind == 'i' ? KIT_PG_INT8_LIST : kind == 'x' ? KIT_PG_BYTEA_LIST : KIT_PG_TEXT_LIST;
    a->formats[a->count] = 1;
    a->values[a->count] = bytes;
    a->sizes[a->count++] = (int)(out - bytes);
    return 0;
}
