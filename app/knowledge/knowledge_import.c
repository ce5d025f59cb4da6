/* The documents of one source in the store. Which document is which is decided here: ids are given once and kept, also
 * while a document is away, so that what is known of it (feedback) is never another's.
 *
 * A document of the new file is one that the store knows, in this order, if
 *   1. heading and text are the same;
 *   2. the heading is the same and it stands behind the same neighbour (its text was edited);
 *   3. heading and text are those of one that is away, or it is the only one of its heading, and so was that;
 *   4. its title and text are the same under other headings (it was moved, or a heading above it renamed). */
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define NOBODY SIZE_MAX

/* A document that the store knows. */
struct stored {
    char *doc_id, *heading;
    char hash[KNOWLEDGE_HASH_SIZE]; /* of its text */
    size_t place;                   /* among those of its heading */
    bool is_away, is_used;
};

/* Indices that belong to one key. */
struct bucket {
    char *key;
    size_t *items;
    size_t count, capacity;
    size_t next;  /* the first that may still be taken */
    size_t fresh; /* how many documents of the new file have this key */
    UT_hash_handle hh;
};

struct matching {
    struct kit_db *db;
    const struct knowledge_documents *documents;
    struct knowledge_import *import;
    struct kit_failure *failure;
    struct stored *stored;
    size_t stored_count, stored_capacity;
    struct bucket *same, *groups, *moved; /* by heading and text, by heading, by title and text */
    size_t *match;                        /* for each new document: which stored one, NOBODY: it is new */
    char (*hashes)[KNOWLEDGE_HASH_SIZE];  /* of the new documents' texts */
};

/* ----------------------------------------------------------------- buckets */

static struct bucket *find_bucket(struct bucket *table, const char *key)
{
    struct bucket *bucket;
    HASH_FIND_STR(table, key, bucket);
    return bucket;
}

/* NULL: out of memory. */
static struct bucket *make_bucket(struct bucket **table, const char *key)
{
    struct bucket *bucket = find_bucket(*table, key);
    if (bucket) return bucket;
    bucket = calloc(1, sizeof *bucket);
    if (bucket) bucket->key = strdup(key);
    if (!bucket || !bucket->key) {
        free(bucket);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, *table, bucket->key, strlen(bucket->key), bucket);
    return bucket;
}

static int add_item(struct bucket **table, const char *key, size_t item)
{
    struct bucket *bucket = make_bucket(table, key);
    if (!bucket) return EIO_ENOMEM;
    if (bucket->count == bucket->capacity) {
        size_t capacity = bucket->capacity ? bucket->capacity * 2 : 4;
        size_t *items = realloc(bucket->items, capacity * sizeof *items);
        if (!items) return EIO_ENOMEM;
        bucket->items = items;
        bucket->capacity = capacity;
    }
    bucket->items[bucket->count++] = item;
    return 0;
}

static void clear_buckets(struct bucket **table)
{
    struct bucket *bucket, *next;
    HASH_ITER(hh, *table, bucket, next)
    {
        HASH_DEL(*table, bucket);
        free(bucket->key);
        free(bucket->items);
        free(bucket);
    }
}

/* name and hash in one key; malloc. */
static char *join_key(const char *name, const char *hash)
{
    size_t n = strlen(name);
    char *key = malloc(n + KNOWLEDGE_HASH_SIZE + 1);
    if (!key) return NULL;
    memcpy(key, name, n);
    key[n] = '\n';
    memcpy(key + n + 1, hash, KNOWLEDGE_HASH_SIZE);
    return key;
}

static const char *own_title(const char *heading)
{
    const char *mark = strrchr(heading, KNOWLEDGE_HEADING_MARK[0]);
    return mark ? mark + 1 : heading;
}

/* -------------------------------------------------------------------- load */

static int fail_memory(struct matching *m)
{
    return kit_fail(m->failure, 503, NULL, "out of memory");
}

static int index_stored(struct matching *m, size_t index)
{
    struct stored *s = &m->stored[index];
    char *same = join_key(s->heading, s->hash), *moved = join_key(own_title(s->heading), s->hash);
    int failed = !same || !moved || add_item(&m->same, same, index) || add_item(&m->groups, s->heading, index) ||
                 add_item(&m->moved, moved, index);
    free(same);
    free(moved);
    if (failed) return fail_memory(m);
    s->place = find_bucket(m->groups, s->heading)->count - 1;
    return 0;
}

static int add_stored(struct matching *m, const struct kit_rows *row)
{
    if (m->stored_count == m->stored_capacity) {
        size_t capacity = m->stored_capacity ? m->stored_capacity * 2 : 64;
        struct stored *stored = realloc(m->stored, capacity * sizeof *stored);
        if (!stored) return fail_memory(m);
        m->stored = stored;
        m->stored_capacity = capacity;
    }
    struct stored *s = &m->stored[m->stored_count];
    memset(s, 0, sizeof *s);
    s->doc_id = strdup(kit_rows_text(row, 0));
    s->heading = strdup(kit_rows_text(row, 1));
    snprintf(s->hash, sizeof s->hash, "%s", kit_rows_text(row, 2));
    s->is_away = kit_rows_int(row, 3);
    m->stored_count++;
    return s->doc_id && s->heading ? index_stored(m, m->stored_count - 1) : fail_memory(m);
}

static int load(struct matching *m)
{
    /* In the file's order, those that are away last. */
    struct kit_rows rows;
    enum kit_step step = kit_db_query(m->db, &rows,
                                      "SELECT doc_id, heading, text_hash, position IS NULL FROM document_ids"
                                      " WHERE source=? AND heading IS NOT NULL"
                                      " ORDER BY position IS NULL, position, doc_id",
                                      "t", m->import->source);
    int code = 0;
    for (; step == KIT_ROW && !code; step = kit_rows_next(&rows)) code = add_stored(m, &rows);
    if (step == KIT_FAILED) return kit_db_fail(m->db, m->failure);
    kit_rows_end(&rows);
    return code;
}

/* ------------------------------------------------------------------- match */

static void take_stored(struct matching *m, size_t document, size_t stored)
{
    m->match[document] = stored;
    m->stored[stored].is_used = true;
}

/* The first of the bucket that nobody has, or NOBODY. */
static size_t next_free(const struct matching *m, struct bucket *bucket, bool take_away)
{
    if (!bucket) return NOBODY;
    while (bucket->next < bucket->count && m->stored[bucket->items[bucket->next]].is_used) bucket->next++;
    if (bucket->next == bucket->count) return NOBODY;
    size_t index = bucket->items[bucket->next];
    return m->stored[index].is_away && !take_away ? NOBODY : index;
}

static int match_by_key(struct matching *m, struct bucket *table, bool is_title, bool take_away)
{
    for (size_t i = 0; i < m->documents->count; i++) {
        if (m->match[i] != NOBODY) continue;
        const char *heading = m->documents->list[i].heading;
        char *key = join_key(is_title ? own_title(heading) : heading, m->hashes[i]);
        if (!key) return fail_memory(m);
        size_t index = next_free(m, find_bucket(table, key), take_away);
        free(key);
        if (index != NOBODY) take_stored(m, i, index);
    }
    return 0;
}

/* Walks both files' documents of one heading together: an unrecognised document after a recognised one is the one that
 * followed it before. */
static int match_neighbours(struct matching *m)
{
    struct bucket *bucket, *next_bucket;
    /* From here on: the place behind the document met last. */
    HASH_ITER(hh, m->groups, bucket, next_bucket) bucket->next = 0;
    for (size_t i = 0; i < m->documents->count; i++) {
        struct bucket *group = make_bucket(&m->groups, m->documents->list[i].heading);
        if (!group) return fail_memory(m);
        group->fresh++;
        size_t k = group->next;
        if (m->match[i] != NOBODY) {
            /* Forward only: what was moved up does not draw the others along. */
            size_t place = m->stored[m->match[i]].place;
            if (place >= k) group->next = place + 1;
        } else if (k < group->count && !m->stored[group->items[k]].is_used && !m->stored[group->items[k]].is_away) {
            take_stored(m, i, group->items[k]);
            group->next = k + 1;
        }
    }
    return 0;
}

static void match_returned(struct matching *m)
{
    for (size_t i = 0; i < m->documents->count; i++) {
        struct bucket *group = find_bucket(m->groups, m->documents->list[i].heading);
        if (m->match[i] == NOBODY && group && group->fresh == 1 && group->count == 1 &&
            !m->stored[group->items[0]].is_used)
            take_stored(m, i, group->items[0]);
    }
}

static int match(struct matching *m)
{
    for (size_t i = 0; i < m->documents->count; i++) {
        const char *text = m->documents->list[i].text;
        knowledge_hash(text, strlen(text), m->hashes[i]);
        m->match[i] = NOBODY;
    }
    int code = match_by_key(m, m->same, false, false);
    if (!code) code = match_neighbours(m);
    if (!code) code = match_by_key(m, m->same, false, true);
    if (code) return code;
    match_returned(m);
    return match_by_key(m, m->moved, true, false);
}

/* --------------------------------------------------------------------- ids */

/* *free_ is false if another document has the id, or had it. One that was imported before documents had headings in
 * the store gives it up, with its feedback: that is how it was replaced then. */
static int look_up_id(struct matching *m, const char *id, bool *is_free)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(m->db, &row, "SELECT heading FROM document_ids WHERE doc_id=?", "t", id);
    if (step == KIT_FAILED) return kit_db_fail(m->db, m->failure);
    bool is_old = step == KIT_ROW && !kit_rows_text(&row, 0);
    *is_free = step == KIT_DONE || is_old;
    kit_rows_end(&row);
    if (!is_old) return 0;
    if (kit_db_run(m->db, "DELETE FROM documents WHERE doc_id=?", "t", id) ||
        kit_db_run(m->db, "DELETE FROM document_ids WHERE doc_id=?", "t", id))
        return kit_db_fail(m->db, m->failure);
    return 0;
}

/* The slug if that is free; else with what tells this file and heading from others; from the second document of one
 * heading on with a number. */
static int make_id(struct matching *m, const struct knowledge_document *d, char id[KIT_ID_SIZE])
{
    char hash[KNOWLEDGE_HASH_SIZE], number[24] = "";
    struct bucket *group = find_bucket(m->groups, d->heading);
    struct knowledge_text whole = {NULL, 0, 0, false};
    size_t ordinal = ++group->count; /* no longer a list of stored ones */
    bool is_free = false, with_hash = false;
    int code = 0;
    knowledge_text_put(&whole, m->import->source);
    knowledge_text_append(&whole, "", 1);
    knowledge_text_put(&whole, d->heading);
    if (whole.failed)
        code = fail_memory(m);
    else
        knowledge_hash(whole.p, whole.n, hash);
    knowledge_text_clear(&whole);
    while (!code && !is_free) {
        if (ordinal > 1) snprintf(number, sizeof number, ".%zu", ordinal);
        snprintf(id, KIT_ID_SIZE, "%s%s%s%s", d->slug, with_hash ? "-" : "", with_hash ? hash : "", number);
        code = look_up_id(m, id, &is_free);
        ordinal += with_hash;
        with_hash = true;
    }
    return code;
}

/* ------------------------------------------------------------------- store */

static int remove_old(struct matching *m)
{
    const char *source = m->import->source, *name = m->import->name ? m->import->name : source;
    if (kit_db_run(m->db, "DELETE FROM documents WHERE source=?", "t", source) ||
        kit_db_run(m->db, "UPDATE document_ids SET position=NULL WHERE source=?", "t", source))
        return kit_db_fail(m->db, m->failure);
    /* Imported before documents had headings in the store; then the source was the path as it was given. */
    if (kit_db_run(m->db,
                   "DELETE FROM documents WHERE source=?1 AND doc_id IN"
                   " (SELECT doc_id FROM document_ids WHERE source=?1 AND heading IS NULL)",
                   "t", name))
        return kit_db_fail(m->db, m->failure);
    return knowledge_note_change(m->db, m->failure);
}

static int put_document(struct matching *m, size_t index)
{
    const struct knowledge_document *d = &m->documents->list[index];
    char fresh[KIT_ID_SIZE];
    const char *id = m->match[index] == NOBODY ? fresh : m->stored[m->match[index]].doc_id;
    int code = m->match[index] == NOBODY ? make_id(m, d, fresh) : 0;
    if (code) return code;
    if (kit_db_run(m->db,
                   "INSERT INTO document_ids(doc_id, source, heading, text_hash, position) VALUES (?,?,?,?,?)"
                   " ON CONFLICT(doc_id) DO UPDATE SET source=excluded.source, heading=excluded.heading,"
                   " text_hash=excluded.text_hash, position=excluded.position",
                   "tttti", id, m->import->source, d->heading, m->hashes[index], (int64_t)index) ||
        kit_db_run(m->db,
                   "INSERT INTO documents(doc_id, source, topic, title, text, helpful, unhelpful)"
                   " SELECT ?1, ?2, ?3, ?4, ?5, coalesce(sum(helpful), 0), coalesce(sum(1 - helpful), 0)"
                   " FROM feedback WHERE doc_id=?1",
                   "ttttt", id, m->import->source, d->topic, d->title, d->text))
        return kit_db_fail(m->db, m->failure);
    return 0;
}

/* A file without text has lost its documents. One that never had any is another file than was meant. */
static int check_text(const struct matching *m)
{
    if (m->documents->count || m->stored_count) return 0;
    return kit_fail(m->failure, 400, NULL, "no text found");
}

static int store(struct matching *m)
{
    int code = remove_old(m);
    for (size_t i = 0; i < m->documents->count && !code; i++) code = put_document(m, i);
    m->import->count = m->documents->count;
    m->import->gone = 0;
    for (size_t i = 0; i < m->stored_count; i++) m->import->gone += !m->stored[i].is_used && !m->stored[i].is_away;
    return code;
}

static void clear(struct matching *m)
{
    for (size_t i = 0; i < m->stored_count; i++) {
        free(m->stored[i].doc_id);
        free(m->stored[i].heading);
    }
    free(m->stored);
    clear_buckets(&m->same);
    clear_buckets(&m->groups);
    clear_buckets(&m->moved);
    free(m->match);
    free(m->hashes);
}

int knowledge_store(struct kit_db *db, const struct knowledge_documents *documents, struct knowledge_import *import,
                    struct kit_failure *failure)
{
    struct matching m = {.db = db, .documents = documents, .import = import, .failure = failure};
    m.match = calloc(documents->count + 1, sizeof *m.match);
    m.hashes = calloc(documents->count + 1, sizeof *m.hashes);
    int code = m.match && m.hashes ? load(&m) : fail_memory(&m);
    if (!code) code = check_text(&m);
    if (!code) code = match(&m);
    if (!code) code = store(&m);
    clear(&m);
    return code;
}

int knowledge_remove(struct kit_db *db, const char *source, size_t *count, struct kit_failure *failure)
{
    struct knowledge_import import = {.source = source};
    struct matching m = {.db = db, .import = &import, .failure = failure};
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT count(*) FROM documents WHERE source=?", "t", source) != KIT_ROW)
        return kit_db_fail(db, failure);
    *count = (size_t)kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return remove_old(&m);
}
