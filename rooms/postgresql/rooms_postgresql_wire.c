/* Notifications that name an attachment, as @socket.io/postgres-adapter writes them, and names of tables. Pure. */
#include "base_authority.h"
#include "rooms_postgresql_int.h"

#include <stdlib.h>
#include <string.h>

enum { PORT_MAX = 65535 };

/* Programs write the number as text, since it has 64 bits in PostgreSQL; a number is taken, too. */
static bool read_id(struct rooms_bytes value, uint64_t *id)
{
    bool is_text = rooms__json_is_text(value);
    if (is_text) value = (struct rooms_bytes){value.p + 1, value.n - 2};
    return rooms__json_uint(value, id) && *id > 0 && *id <= INT64_MAX;
}

static bool read_uid(struct rooms_bytes value, char *uid)
{
    char text[ROOMS_UID_MAX * 6 + 2]; /* each character may be an escape */
    long size = value.n > 0 && value.n <= sizeof text ? rooms__json_text(value, text) : -1;
    if (size < 0 || size > ROOMS_UID_MAX || memchr(text, '\0', (size_t)size)) return false;
    memcpy(uid, text, (size_t)size);
    uid[size] = '\0';
    return true;
}

int rooms__pg_header_read(struct rooms_bytes payload, struct rooms__pg_header *header)
{
    static const char name[] = "\"attachmentId\"";
    static const char *const names[] = {"attachmentId", "uid"};
    struct rooms_bytes found[2];
    if (payload.n > ROOMS__PG_HEADER_MAX || !memmem(payload.p, payload.n, name, sizeof name - 1)) return 0;
    if (rooms__json_check(payload) != ROOMS_OK) return ROOMS_EINVAL;
    /* An event's arguments may have that name in them. */
    if (!rooms__json_find(payload, names, 2, found) || found[0].n == 0) return 0;
    return read_id(found[0], &header->attachment) && read_uid(found[1], header->uid) ? 1 : ROOMS_EINVAL;
}

void rooms__pg_header_put(struct rooms_packer *packer, struct rooms_name uid, enum rooms_cluster_type type)
{
    rooms__put(packer, "{\"uid\":");
    rooms__put_text(packer, uid);
    rooms__put(packer, ",\"type\":");
    rooms__put_uint(packer, (uint64_t)type);
    rooms__put(packer, ",\"attachmentId\":\"");
}

/* It is written into statements as it is, as Node's adapter does. */
bool rooms_postgresql_table_is_valid(const char *table)
{
    size_t size = 0, dots = 0;
    for (const char *c = table; *c; c++) {
        char letter = (char)(*c | 0x20);
        bool is_letter = (letter >= 'a' && letter <= 'z') || *c == '_';
        if (*c == '.') {
            if (size == 0 || ++dots > 1) return false;
            size = 0;
        } else if (is_letter || (size > 0 && *c >= '0' && *c <= '9')) {
            if (++size > ROOMS__PG_CHANNEL_MAX) return false;
        } else {
            return false;
        }
    }
    return size > 0;
}

static bool is_host(struct base_str host)
{
    if (host.n && (host.p[0] == '/' || host.p[0] == '@')) return true; /* the directory of a local socket */
    return host.n == 0 || base_host_is_name_or_address(host);
}

static bool is_port(struct base_str port)
{
    unsigned number = 0;
    for (size_t i = 0; i < port.n; i++) {
        if (port.p[i] < '0' || port.p[i] > '9' || number > PORT_MAX) return false;
        number = number * 10 + (unsigned)(port.p[i] - '0');
    }
    return port.n == 0 || (number > 0 && number <= PORT_MAX);
}

/* libpq notices these only when it connects. Both are lists; where nothing is between commas, the default is meant. */
static bool is_parameter_valid(const PQconninfoOption *parameter)
{
    bool hosts = strcmp(parameter->keyword, "host") == 0 || strcmp(parameter->keyword, "hostaddr") == 0;
    if (!parameter->val || (!hosts && strcmp(parameter->keyword, "port") != 0)) return true;
    for (const char *p = parameter->val;; p++) {
        struct base_str one = {p, strcspn(p, ",")};
        if (!(hosts ? is_host(one) : is_port(one))) return false;
        p += one.n;
        if (!*p) return true;
    }
}

bool rooms_postgresql_url_is_valid(const char *url)
{
    if (strncmp(url, "postgresql://", 13) != 0 && strncmp(url, "postgres://", 11) != 0) return false;
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    bool is_valid = options != NULL;
    for (PQconninfoOption *each = options; is_valid && each->keyword; each++) is_valid = is_parameter_valid(each);
    PQconninfoFree(options);
    return is_valid;
}
