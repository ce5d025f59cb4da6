/* The contents of Redis' streams and keys, as the official streams adapter writes them. */
#include "rooms_redis_streams.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------- ids */

static bool read_number(const char **p, const char *end, uint64_t *number)
{
    const char *begin = *p;
    *number = 0;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        uint64_t digit = (uint64_t)(**p - '0');
        if (*number > (UINT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return *p > begin;
}

bool rooms__stream_id_read(struct rooms_name text, struct rooms__stream_id *id)
{
    const char *p = text.p, *end = text.p + text.n;
    if (text.n == 0 || text.n >= ROOMS_OFFSET_SIZE || !read_number(&p, end, &id->ms)) return false;
    return p < end && *p++ == '-' && read_number(&p, end, &id->seq) && p == end;
}

struct rooms_name rooms__stream_id_put(struct rooms__stream_id id, char *out)
{
    int n = snprintf(out, ROOMS_OFFSET_SIZE, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    return (struct rooms_name){out, (size_t)n};
}

/* ------------------------------------------------------------------ entries */

static bool is_text(const struct redisReply *reply)
{
    return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

static struct rooms_name text_of(const struct redisReply *reply)
{
    return (struct rooms_name){reply->str, (size_t)reply->len};
}

static bool is(const struct redisReply *reply, const char *text)
{
    return is_text(reply) && (size_t)reply->len == strlen(text) && memcmp(reply->str, text, (size_t)reply->len) == 0;
}

bool rooms__stream_entry_read(const struct redisReply *reply, struct rooms__stream_entry *entry)
{
    *entry = (struct rooms__stream_entry){{0, 0}};
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 || !is_text(reply->element[0])) return false;
    const struct redisReply *fields = reply->element[1];
    if (!rooms__stream_id_read(text_of(reply->element[0]), &entry->id)) return false;
    if (!fields || fields->type != REDIS_REPLY_ARRAY) return true; /* deleted meanwhile */
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const struct redisReply *name = fields->element[i], *value = fields->element[i + 1];
        if (!is_text(name) || !is_text(value)) return false;
        struct rooms_name text = text_of(value);
        if (is(name, "uid")) entry->uid = text;
        if (is(name, "nsp")) entry->nsp = text;
        if (is(name, "type")) entry->type = text;
        if (is(name, "data")) entry->data = rooms__bytes(text);
    }
    return true;
}

/* --------------------------------------------------------------------- info */

static const struct redisReply *member(const struct redisReply *reply, const char *name)
{
    for (size_t i = 0; i + 1 < reply->elements; i += 2)
        if (is(reply->element[i], name)) return reply->element[i + 1];
    return NULL;
}

bool rooms__stream_info_read(const struct redisReply *reply, struct rooms__stream_info *info)
{
    *info = (struct rooms__stream_info){.whole = true};
    if (!reply) return false;
    if (reply->type == REDIS_REPLY_ERROR) return strstr(reply->str, "no such key") != NULL;
    if (reply->type != REDIS_REPLY_ARRAY) return false;
    const struct redisReply *length = member(reply, "length"), *added = member(reply, "entries-added");
    const struct redisReply *last = member(reply, "last-generated-id"), *first = member(reply, "first-entry");
    if (!is_text(last) || !rooms__stream_id_read(text_of(last), &info->last)) return false;
    /* Redis 7 reports it; older versions do not. */
    info->whole = length && added && length->type == REDIS_REPLY_INTEGER && added->type == REDIS_REPLY_INTEGER &&
                  length->integer == added->integer;
    if (first && first->type == REDIS_REPLY_ARRAY && first->elements > 0 && is_text(first->element[0]))
        rooms__stream_id_read(text_of(first->element[0]), &info->first);
    return true;
}

bool rooms__stream_reaches(const struct rooms__stream_info *info, struct rooms__stream_id id)
{
    if (rooms__stream_id_after(id, info->last)) return false; /* of another stream, or of none */
    bool has_entries = info->first.ms || info->first.seq;
    if (!has_entries) return info->whole || !rooms__stream_id_after(info->last, id);
    return info->whole || !rooms__stream_id_after(info->first, id);
}

/* ------------------------------------------------------------------ streams */

/* JavaScript's: hash = hash * 31 + unit | 0 over UTF-16, and a remainder with the sign of the hash. The double it
 * computes in is exact: 31 * 2^31 + 65535 is far below 2^53. */
static uint32_t hash_unit(uint32_t hash, uint32_t unit)
{
    return hash * 31 + unit;
}

int32_t rooms__stream_number(struct rooms_name nsp, uint32_t count)
{
    const uint8_t *p = (const uint8_t *)nsp.p, *end = p + nsp.n;
    uint32_t hash = 0;
    while (p < end) {
        bool valid = false;
        size_t size = *p < 0x80 ? 1 : base_utf8_sequence(p, end, &valid);
        uint32_t code = *p;
        if (!valid) size = 1; /* a byte of no character counts as itself */
        if (size == 2) code = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        if (size == 3) code = (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        if (size == 4)
            code = (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
                   (p[3] & 0x3f);
        if (code > 0xffff) {
            hash = hash_unit(hash, 0xd800 + ((code - 0x10000) >> 10));
            code = 0xdc00 + (code & 0x3ff);
        }
        hash = hash_unit(hash, code);
        p += size;
    }
    int64_t number = hash > INT32_MAX ? (int64_t)hash - ((int64_t)1 << 32) : (int64_t)hash;
    return (int32_t)(number % (int64_t)count);
}

/* ----------------------------------------------------------------- sessions */

static void put_member(struct rooms_packer *json, const char *key, struct rooms_name text)
{
    rooms__put(json, key);
    rooms__put_text(json, text);
}

static void put_session(struct rooms_packer *json, const struct rooms_session *session, struct rooms_name arrived)
{
    put_member(json, "{\"sid\":", session->sid);
    put_member(json, ",\"pid\":", session->pid);
    rooms__put(json, ",\"rooms\":[");
    for (size_t i = 0; i < session->room_count; i++) put_member(json, i ? "," : "", session->rooms[i]);
    rooms__put(json, "],\"data\":");
    rooms__put_bytes(json, session->data.p, session->data.n);
    if (session->offset.n) put_member(json, ",\"offset\":", session->offset);
    if (arrived.n) put_member(json, ",\"arrived\":", arrived);
    rooms__put(json, "}");
}

void rooms__stream_session_put(struct rooms_packer *packer, const struct rooms_session *session,
                               struct rooms_name arrived)
{
    struct rooms_packer json, binary;
    rooms_packer_init(&json);
    rooms_packer_init(&binary);
    put_session(&json, session, arrived);
    rooms_pack_json(&binary, (struct rooms_bytes){json.bytes, json.size}, NULL, 0);
    size_t size = sodium_base64_encoded_len(binary.size, sodium_base64_VARIANT_ORIGINAL); /* with terminator */
    char *text = malloc(size);
    if (json.error || binary.error || !text) {
        packer->error = ROOMS_ENOMEM;
    } else {
        sodium_bin2base64(text, size, binary.bytes, binary.size, sodium_base64_VARIANT_ORIGINAL);
        rooms__put_bytes(packer, text, size - 1);
    }
    free(text);
    rooms_packer_clear(&json);
    rooms_packer_clear(&binary);
}

enum field { SID, PID, ROOMS, DATA, OFFSET, ARRIVED, FIELDS };

/* Reads a string into the session's own memory. Returns false if the value is not a string. */
static bool take_text(char **at, struct rooms_bytes value, bool is_needed, struct rooms_name *out)
{
    long size = value.n ? rooms__json_text(value, *at) : -1;
    *out = (struct rooms_name){*at, size < 0 ? 0 : (size_t)size};
    *at += out->n;
    return out->n > 0 || !is_needed;
}

static int read_session(struct rooms__stream_session *session, struct rooms_bytes json)
{
    static const char *const names[FIELDS] = {"sid", "pid", "rooms", "data", "offset", "arrived"};
    struct rooms_bytes field[FIELDS];
    struct rooms_session *out = &session->session;
    if (!rooms__json_find(json, names, FIELDS, field) || !rooms__json_is_array(field[ROOMS])) return ROOMS_EINVAL;
    char *at = session->text = malloc(json.n);
    if (!at) return ROOMS_ENOMEM;
    if (!take_text(&at, field[SID], true, &out->sid) || !take_text(&at, field[PID], true, &out->pid))
        return ROOMS_EINVAL;
    take_text(&at, field[OFFSET], false, &out->offset);
    take_text(&at, field[ARRIVED], false, &session->arrived);
    int error = rooms__names_of_json(&session->rooms, field[ROOMS]);
    if (error) return error;
    bool has_data = field[DATA].n > 0 && field[DATA].p[0] == '{';
    out->data = has_data ? field[DATA] : rooms__text("{}");
    out->rooms = session->rooms.names;
    out->room_count = session->rooms.count;
    return ROOMS_OK;
}

int rooms__stream_session_read(struct rooms__stream_session *session, struct rooms_bytes text)
{
    static const struct rooms_msgpack_limits limits = {ROOMS_MSGPACK_DEPTH_MAX, ROOMS__ATTACHMENTS_MAX};
    struct rooms_msgpack_fault fault;
    size_t size, room = text.n / 4 * 3 + 3;
    *session = (struct rooms__stream_session){{{NULL, 0}}};
    session->binary = malloc(room);
    if (!session->binary) return ROOMS_ENOMEM;
    long read = ROOMS_EINVAL;
    if (sodium_base642bin(session->binary, room, (const char *)text.p, text.n, NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0)
        read = rooms_msgpack_decode(session->binary, size, &limits, &session->decoded, &fault);
    if (read < 0) session->decoded = (struct rooms_decoded){0};
    struct rooms_bytes json = {(const uint8_t *)session->decoded.json, session->decoded.json_size};
    int error = read < 0 ? (int)read : read_session(session, json);
    if (error) rooms__stream_session_clear(session);
    return error;
}

void rooms__stream_session_clear(struct rooms__stream_session *session)
{
    rooms_decoded_clear(&session->decoded);
    rooms__names_clear(&session->rooms);
    free(session->binary);
    free(session->text);
}
