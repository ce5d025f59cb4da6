/* Lists of room names as messages carry them. */
#include "rooms_wire.h"

#include <stdlib.h>
#include <string.h>

/* No text of a number is longer for a byte of the message than this: 127 is one byte and three characters, a float of
 * 32 bits is five bytes and up to 23. */
enum { TEXT_PER_BYTE = 5, TEXT_LEAST = 32 };

void rooms__names_clear(struct rooms__names *names)
{
    free(names->names);
    free(names->text);
    *names = (struct rooms__names){0};
}

/* Memory for all names that cannot point into the message; NULL if absent. */
static char *text_of(struct rooms__names *names, struct rooms_bytes list)
{
    if (!names->text) names->text = malloc(TEXT_PER_BYTE * list.n + TEXT_LEAST);
    return names->text ? names->text + names->text_size : NULL;
}

static void add_name(struct rooms__names *names, const void *p, size_t n)
{
    names->names[names->count++] = (struct rooms_name){p, n};
}

static int add_copy(struct rooms__names *names, char *text, size_t n)
{
    add_name(names, text, n);
    names->text_size += n;
    return ROOMS_OK;
}

static int alloc(struct rooms__names *names, size_t count)
{
    *names = (struct rooms__names){0};
    if (count == 0) return ROOMS_OK;
    names->names = calloc(count, sizeof *names->names);
    return names->names ? ROOMS_OK : ROOMS_ENOMEM;
}

/* ------------------------------------------------------------------ of JSON */

static int add_json(struct rooms__names *names, struct rooms_bytes list, struct rooms_bytes value)
{
    if (rooms__json_is_text(value) && !memchr(value.p, '\\', value.n)) {
        add_name(names, value.p + 1, value.n - 2);
        return ROOMS_OK;
    }
    if (rooms__json_is_text(value)) {
        char *text = text_of(names, list);
        return text ? add_copy(names, text, (size_t)rooms__json_text(value, text)) : ROOMS_ENOMEM;
    }
    bool is_number = value.p[0] == '-' || (value.p[0] >= '0' && value.p[0] <= '9');
    add_name(names, value.p, is_number ? value.n : 0);
    return ROOMS_OK;
}

int rooms__names_of_json(struct rooms__names *names, struct rooms_bytes list)
{
    struct base_json_walk walk, again;
    struct rooms_bytes value;
    size_t count = 0;
    if (list.n == 0 || rooms__json_is(list, "null")) return alloc(names, 0);
    if (!rooms__json_open(&walk, list) || walk.is_object) return ROOMS_EINVAL;
    again = walk;
    while (rooms__json_next(&walk, NULL, &value)) count++;
    int error = alloc(names, count);
    while (error == 0 && rooms__json_next(&again, NULL, &value)) error = add_json(names, list, value);
    if (error) rooms__names_clear(names);
    return error;
}

/* --------------------------------------------------------------- of msgpack */

/* As JSON writes the number. */
static int add_number(struct rooms__names *names, struct rooms_bytes list, struct rooms_bytes value)
{
    static const struct rooms_msgpack_limits limits = {0, 0};
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    char *text = text_of(names, list);
    if (!text) return ROOMS_ENOMEM;
    long size = rooms_msgpack_decode(value.p, value.n, &limits, &decoded, &fault);
    if (size < 0) return (int)size;
    memcpy(text, decoded.json, decoded.json_size);
    add_copy(names, text, decoded.json_size);
    rooms_decoded_clear(&decoded);
    return ROOMS_OK;
}

static int add_msgpack(struct rooms__names *names, struct rooms_bytes list, struct rooms_bytes value)
{
    struct rooms__msgpack_head head;
    rooms__msgpack_head(value.p, value.n, &head);
    if (head.kind == ROOMS__MSGPACK_UINT || head.kind == ROOMS__MSGPACK_NUMBER) return add_number(names, list, value);
    add_name(names, head.body.p, head.kind == ROOMS__MSGPACK_TEXT ? head.body.n : 0);
    return ROOMS_OK;
}

int rooms__names_of_msgpack(struct rooms__names *names, struct rooms_bytes list)
{
    struct rooms__msgpack_walk walk;
    struct rooms__msgpack_head head;
    struct rooms_bytes value;
    if (list.n == 0) return alloc(names, 0);
    if (rooms__msgpack_head(list.p, list.n, &head) < 0) return ROOMS_EINVAL;
    if (head.kind == ROOMS__MSGPACK_NIL || head.kind == ROOMS__MSGPACK_UNDEFINED) return alloc(names, 0);
    if (head.kind != ROOMS__MSGPACK_ARRAY || !rooms__msgpack_open(&walk, list.p, list.n)) return ROOMS_EINVAL;
    int error = alloc(names, (size_t)head.number);
    int more = 1;
    while (error == 0 && (more = rooms__msgpack_next(&walk, NULL, &value)) > 0) error = add_msgpack(names, list, value);
    if (more < 0) error = more;
    if (error) rooms__names_clear(names);
    return error;
}

/* ----------------------------------------------------------------- writing */

bool rooms__name_is_number(struct rooms_name name)
{
    enum { SAFE_DIGITS = 15 }; /* every integer of so many digits is one of JavaScript's */
    const char *p = name.p;
    size_t n = name.n;
    if (n > 1 && p[0] == '-' && p[1] != '0') p++, n--;
    if (n == 0 || n > SAFE_DIGITS || (p[0] == '0' && n > 1)) return false;
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9') return false;
    return true;
}

void rooms__put_names(struct rooms_packer *packer, const struct rooms_name *names, size_t count, bool numbers)
{
    rooms__put(packer, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) rooms__put(packer, ",");
        rooms__put_text(packer, names[i]);
        if (!numbers || !rooms__name_is_number(names[i])) continue;
        rooms__put(packer, ",");
        rooms__put_bytes(packer, names[i].p, names[i].n);
    }
    rooms__put(packer, "]");
}
