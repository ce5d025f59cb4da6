/* Request heads and query strings: looking things up in text that the gate has checked. */
#include "engineio_http.h"

#include "base_str.h"
#include "eio_codec.h"
#include "eio_http_int.h"
#include "eio_text.h"

#include <stdlib.h>
#include <string.h>

struct eio_str eio_http_head_target(const struct eio_http_head *head)
{
    return (struct eio_str){head->text, head->target_size};
}

struct eio_str eio_http_head_path(const struct eio_http_head *head)
{
    return (struct eio_str){head->text, head->path_size};
}

struct eio_str eio_http_head_query(const struct eio_http_head *head)
{
    if (head->path_size == head->target_size) return (struct eio_str){head->text + head->target_size, 0};
    size_t start = head->path_size + 1u;
    return (struct eio_str){head->text + start, head->target_size - start};
}

struct eio_str eio_http_head_field(const struct eio_http_head *head, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct eio_http_field *field = &eio__http_head_fields(head)[i];
        if (field->name_size == size && memcmp(head->text + field->name, name, size) == 0)
            return (struct eio_str){head->text + field->value, field->value_size};
    }
    return (struct eio_str){NULL, 0};
}

bool eio_http_head_field_at(const struct eio_http_head *head, size_t i, struct eio_str *name, struct eio_str *value)
{
    if (i >= head->field_count) return false;
    const struct eio_http_field *field = &eio__http_head_fields(head)[i];
    *name = (struct eio_str){head->text + field->name, field->name_size};
    *value = (struct eio_str){head->text + field->value, field->value_size};
    return true;
}

/* Takes the part before the separator off the text. */
static struct eio_str take_part(struct eio_str *rest, char separator)
{
    const char *at = memchr(rest->p, separator, rest->n);
    struct eio_str part = {rest->p, at ? (size_t)(at - rest->p) : rest->n};
    size_t taken = part.n + (at ? 1 : 0);
    *rest = (struct eio_str){rest->p + taken, rest->n - taken};
    return eio__trim(part);
}

/* "q=0", "q=0.0", "q=0.00": not acceptable. */
static bool is_zero(struct eio_str parameter)
{
    if (parameter.n < 3 || (parameter.p[0] | 0x20) != 'q' || parameter.p[1] != '=') return false;
    for (size_t i = 2; i < parameter.n; i++)
        if (parameter.p[i] != '0' && parameter.p[i] != '.') return false;
    return true;
}

bool eio_http_head_accepts(const struct eio_http_head *head, const char *coding)
{
    struct eio_str list = eio_http_head_field(head, "accept-encoding");
    while (list.n) {
        struct eio_str item = take_part(&list, ',');
        struct eio_str name = take_part(&item, ';');
        if (eio_str_is(name, coding)) return !is_zero(eio__trim(item));
    }
    return false;
}

static size_t text_size(const struct eio_http_head *head)
{
    size_t size = head->target_size;
    for (size_t i = 0; i < head->field_count; i++) {
        const struct eio_http_field *field = &eio__http_head_fields(head)[i];
        size_t end = (size_t)field->value + field->value_size;
        size_t name_end = (size_t)field->name + field->name_size;
        if (end > size) size = end;
        if (name_end > size) size = name_end;
    }
    return size;
}

struct eio_http_head *eio__http_head_copy(const struct eio_http_head *head)
{
    size_t fields_size = head->field_count * sizeof(struct eio_http_field);
    size_t size = text_size(head);
    size_t address_size = strlen(head->address) + 1;
    struct eio_http_head *copy = malloc(sizeof *copy + fields_size + size + address_size);
    if (!copy) return NULL;
    *copy = *head;
    char *text = (char *)(copy + 1) + fields_size;
    if (fields_size) memcpy(copy + 1, head + 1, fields_size);
    if (size) memcpy(text, head->text, size);
    copy->text = text;
    copy->address = memcpy(text + size, head->address, address_size);
    return copy;
}

/* ------------------------------------------------------------------- query */

bool eio_query_next(struct eio_str *rest, struct eio_str *name, struct eio_str *value)
{
    while (rest->n) {
        const char *start = rest->p;
        const char *amp = memchr(start, '&', rest->n);
        size_t size = amp ? (size_t)(amp - start) : rest->n;
        size_t used = size + (amp ? 1 : 0);
        rest->p += used;
        rest->n -= used;
        if (size == 0) continue;
        const char *equals = memchr(start, '=', size);
        size_t name_size = equals ? (size_t)(equals - start) : size;
        *name = (struct eio_str){start, name_size};
        *value = equals ? (struct eio_str){equals + 1, size - name_size - 1} : (struct eio_str){start + size, 0};
        return true;
    }
    return false;
}

int eio_query_decode(struct eio_str raw, char *out, size_t out_size)
{
    size_t size = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i] == '+' ? ' ' : raw.p[i];
        if (c == '%' && raw.n - i > 2 && base_hex_value(raw.p[i + 1]) >= 0 && base_hex_value(raw.p[i + 2]) >= 0) {
            c = (char)(base_hex_value(raw.p[i + 1]) * 16 + base_hex_value(raw.p[i + 2]));
            i += 2;
        }
        if (size == out_size) return EIO_ETOOBIG;
        out[size++] = c;
    }
    return (int)size;
}

/* True if a raw name decodes to exactly `name`. */
static bool name_is(struct eio_str raw, const char *name, size_t size)
{
    if (raw.n == size && memcmp(raw.p, name, size) == 0) return true;
    if (raw.n <= size || raw.n > 3 * size) return false;
    char decoded[64];
    return size <= sizeof decoded && eio_query_decode(raw, decoded, sizeof decoded) == (int)size &&
           memcmp(decoded, name, size) == 0;
}

int eio_query_get(struct eio_str query, const char *name, char *out, size_t out_size)
{
    struct eio_str raw_name, raw, found = {NULL, 0};
    size_t size = strlen(name);
    while (eio_query_next(&query, &raw_name, &raw))
        if (name_is(raw_name, name, size)) found = raw;
    if (!found.p) return EIO_EINVAL;
    if (out_size == 0) return EIO_ETOOBIG;
    int n = eio_query_decode(found, out, out_size - 1);
    if (n >= 0) out[n] = '\0';
    return n;
}
