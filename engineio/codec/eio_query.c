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
    const char *p = rest->p, *end = p + rest->n;
    while (p < end && *p == '&') p++;
    const char *start = p;
    while (p < end && *p != '=' && *p != '&') p++;
    *name = (struct eio_str){start, (size_t)(p - start)};
    bool has_value = p < end && *p == '=';
    const char *amp = has_value ? memchr(p, '&', (size_t)(end - p)) : p;
    if (!amp) amp = end;
    *value = has_value ? (struct eio_str){p + 1, (size_t)(amp - p) - 1} : (struct eio_str){p, 0};
    if (amp < end) amp++;
    *rest = (struct eio_str){amp, (size_t)(end - amp)};
    return amp > start;
}

int eio_query_decode(struct eio_str raw, char *out, size_t out_size)
{
    size_t plain = 0;
    while (plain < raw.n && raw.p[plain] != '%' && raw.p[plain] != '+') plain++;
    if (plain > out_size) return EIO_ETOOBIG;
    base_put_bytes(out, raw.p, plain);
    size_t size = plain;
    for (size_t i = plain; i < raw.n; i++) {
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

void eio__query_pick(struct eio_str query, struct eio__pick *picks, size_t count)
{
    struct eio_str name, value;
    while (eio_query_next(&query, &name, &value))
        for (size_t i = 0; i < count; i++)
            if (name_is(name, picks[i].name.p, picks[i].name.n)) picks[i].raw = value;
}

int eio__pick_decode(const struct eio__pick *pick, char *out, size_t out_size)
{
    if (!pick->raw.p) return EIO_EINVAL;
    if (out_size == 0) return EIO_ETOOBIG;
    int n = eio_query_decode(pick->raw, out, out_size - 1);
    if (n >= 0) out[n] = '\0';
    return n;
}

int eio_query_get(struct eio_str query, const char *name, char *out, size_t out_size)
{
    struct eio__pick pick = {.name = {name, strlen(name)}};
    eio__query_pick(query, &pick, 1);
    return eio__pick_decode(&pick, out, out_size);
}
