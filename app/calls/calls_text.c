/* Full text of lines, in SQLite's FTS5. The table has the lines' texts only as an index (content='segments'): what is
 * in it must be taken out with the text that it was put in with, so before a line changes. Calls are words of it, too,
 * so that the lines of one call are found without reading those of others. */
#include "calls_text.h"

#include <ctype.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/utf8.h>

#define WORD_BYTES_MAX 255
#define MERGE_PAGES 32         /* of 4 KB, in one operation */
#define WORDS_BYTES_MAX 524288 /* of a line; PostgreSQL takes a MiB */

int calls_text_put(struct kit_db *db, const struct kit_many *lines, struct kit_failure *failure)
{
    int failed = kit_db_run_many(db, lines,
                                 "/*sqlite*/"
                                 "INSERT INTO segments_text(rowid, text, call) VALUES (?,?,?)"
                                 "/*end*/");
    return failed ? kit_db_fail(db, failure) : 0;
}

int calls_text_drop(struct kit_db *db, int64_t call, int64_t first, int64_t last, struct kit_failure *failure)
{
    int failed = kit_db_run(db,
                            "/*sqlite*/"
                            "INSERT INTO segments_text(segments_text, rowid, text, call)"
                            " SELECT 'delete', id, text, call FROM segments"
                            " WHERE call=?1 AND seq BETWEEN ?2 AND ?3 AND is_final <> 0"
                            " AND id <= (SELECT indexed FROM segments_text_state WHERE id = 1)"
                            "/*end*/",
                            "iii", call, first, last);
    return failed ? kit_db_fail(db, failure) : 0;
}

int calls_text_catch_up(struct kit_db *db, int64_t most, bool *is_behind, struct kit_failure *failure)
{
    struct kit_rows row;
    if (kit_db_query(db, &row,
                     "/*sqlite*/"
                     "SELECT indexed, (SELECT coalesce(max(id), 0) FROM segments) FROM segments_text_state WHERE id = 1"
                     "/*end*//*postgresql: SELECT 0, 0*/",
                     "") != KIT_ROW)
        return kit_db_fail(db, failure);
    int64_t indexed = kit_rows_int(&row, 0), last = kit_rows_int(&row, 1);
    kit_rows_end(&row);
    *is_behind = last - indexed > most;
    if (last <= indexed) return 0;
    if (*is_behind) last = indexed + most;
    bool failed = kit_db_run(db,
                             "/*sqlite*/"
                             "INSERT INTO segments_text(rowid, text, call)"
                             " SELECT id, text, call FROM segments WHERE id > ? AND id <= ? AND is_final <> 0"
                             "/*end*/",
                             "ii", indexed, last) ||
                  kit_db_run(db, "/*sqlite*/UPDATE segments_text_state SET indexed = ? WHERE id = 1/*end*/", "i", last);
    return failed ? kit_db_fail(db, failure) : 0;
}

/* Of this connection, in tables of the index too. */
static int64_t count_changes(struct kit_db *db)
{
    struct kit_rows row;
    if (kit_db_query(db, &row, "SELECT /*sqlite*/total_changes()/*end*//*postgresql: 0*/", "") != KIT_ROW) return -1;
    int64_t changes = kit_rows_int(&row, 0);
    kit_rows_end(&row);
    return changes;
}

/* In row 2 of the state, so that a process which ends before the merge leaves it to the next. */
int calls_text_must_forget(struct kit_db *db, struct kit_failure *failure)
{
    if (kit_db_run(db,
                   "/*sqlite*/INSERT INTO segments_text_state(id, indexed) VALUES (2, 1)"
                   " ON CONFLICT (id) DO UPDATE SET indexed = segments_text_state.indexed + 1/*end*/",
                   ""))
        return kit_db_fail(db, failure);
    return 0;
}

static int read_deletions(struct kit_db *db, int64_t *count, struct kit_failure *failure)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(
        db, &row, "/*sqlite*/SELECT indexed FROM segments_text_state WHERE id = 2/*end*//*postgresql: SELECT 0*/", "");
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *count = step == KIT_ROW ? kit_rows_int(&row, 0) : 0;
    kit_rows_end(&row);
    return 0;
}

static int merge_piece(struct kit_db *db, bool is_first, bool *is_over, struct kit_failure *failure)
{
    /* Negative: all parts of the index become one; then that goes on. Fewer than two changes: it is over (SQLite's
     * documentation of FTS5, "The 'merge' Command"). */
    int64_t before = count_changes(db);
    bool failed = before < 0 || kit_db_run(db,
                                           "/*sqlite*/"
                                           "INSERT INTO segments_text(segments_text, rank) VALUES ('merge', ?)"
                                           "/*end*/",
                                           "i", is_first ? -(int64_t)MERGE_PAGES : (int64_t)MERGE_PAGES);
    int64_t after = failed ? -1 : count_changes(db);
    *is_over = after - before < 2;
    return after < 0 ? kit_db_fail(db, failure) : 0;
}

int calls_text_forget(struct kit_db *db, bool is_first, int64_t *deletions, bool *is_over, struct kit_failure *failure)
{
    int code = is_first ? read_deletions(db, deletions, failure) : 0;
    *is_over = !*deletions; /* nothing was deleted, or another process has merged since */
    if (code || *is_over) return code;
    code = merge_piece(db, is_first, is_over, failure);
    if (!code && *is_over &&
        kit_db_run(db, "/*sqlite*/DELETE FROM segments_text_state WHERE id = 2 AND indexed = ?/*end*/", "i",
                   *deletions))
        return kit_db_fail(db, failure);
    return code;
}

/* Marks belong to the letter before them. */
static bool is_of_word(UChar32 code)
{
    if (code < 0x80) return isalnum((int)code);
    return u_isalnum(code) || (U_GET_GC_MASK(code) & U_GC_M_MASK);
}

/* A small letter; of Latin ones without its accent, as FTS5 has them. 0: nothing, it is the accent itself. */
static UChar32 fold(UChar32 code, UChar32 before, bool keeps_accents)
{
    UChar decomposed[8];
    UErrorCode status = U_ZERO_ERROR;
    if (code < 0x80) return tolower((int)code);
    code = u_tolower(code);
    if (keeps_accents) return code;
    if (code >= 0x300 && code < 0x370 && before >= 'a' && before <= 'z') return 0;
    int32_t n = unorm2_getDecomposition(unorm2_getNFDInstance(&status), code, decomposed, 8, &status);
    return n > 1 && decomposed[0] >= 'a' && decomposed[0] <= 'z' ? decomposed[0] : code;
}

static size_t put_words(struct eio_str text, const char *between, bool keeps_accents, char *out)
{
    size_t n = 0, begin = 0, gap = strlen(between); /* where the word that is read begins */
    UChar32 before = 0;
    for (size_t i = 0; i < text.n && n < WORDS_BYTES_MAX;) {
        UChar32 code = (unsigned char)text.p[i];
        if (code < 0x80)
            i++;
        else
            U8_NEXT(text.p, i, text.n, code);
        if (code > 0 && is_of_word(code)) {
            if (n == begin && n) {
                memcpy(out + n, between, gap);
                n = begin += gap;
            }
            code = fold(code, before, keeps_accents);
            if (!code) continue;
            before = code;
            if (code < 0x80)
                out[n++] = (char)code;
            else
                U8_APPEND_UNSAFE(out, n, code);
        } else {
            before = 0;
            if (n <= begin) continue;
            if (n - begin > WORD_BYTES_MAX) n = begin > gap ? begin - gap : 0;
            begin = n;
        }
    }
    if (n - begin > WORD_BYTES_MAX) n = begin > gap ? begin - gap : 0;
    out[n] = 0;
    return n;
}

size_t calls_text_words(struct eio_str text, const char *between, char *out)
{
    return put_words(text, between, false, out);
}

/* Lines that were stored before accents were left out have them. */
static void put_query(const char *text, char *out)
{
    size_t n = put_words(eio_str(text), " & ", false, out);
    size_t m = put_words(eio_str(text), " & ", true, out + n + 3);
    if (n == m && !memcmp(out, out + n + 3, n)) return;
    memcpy(out + n, " | ", 3);
}

static bool is_blank(char c)
{
    return isspace((unsigned char)c) || c == '"';
}

/* Each word in quotes, so that nothing of it is an operator. */
void calls_text_query(const char *text, char query[CALLS_TEXT_QUERY_SIZE])
{
    size_t n = 0;
    query[0] = 0;
    while (*text) {
        size_t size = 0;
        bool has_letter = false;
        while (is_blank(*text)) text++;
        for (; text[size] && !is_blank(text[size]); size++)
            has_letter |= isalnum((unsigned char)text[size]) || (unsigned char)text[size] >= 0x80;
        if (n + size + 4 > CALLS_TEXT_QUERY_SIZE) return;
        if (has_letter) n += (size_t)snprintf(query + n, CALLS_TEXT_QUERY_SIZE - n, " \"%.*s\"", (int)size, text);
        text += size;
    }
}

enum kit_step calls_text_find(struct kit_db *db, struct kit_rows *rows, const struct calls_text_range *range)
{
    char match[CALLS_TEXT_QUERY_SIZE + 64], call[48] = "";
    char words[2 * CALLS_TEXT_WORDS_SIZE(CALLS_TEXT_QUERY_SIZE) + 3];
    if (range->call) snprintf(call, sizeof call, " AND call : \"%lld\"", (long long)range->call);
    snprintf(match, sizeof match, "text : (%s)%s", range->query, call);
    put_query(range->query, words);
    return kit_db_query(db, rows,
                        "/*sqlite*/"
                        "SELECT s.id, s.call, s.seq, s.json FROM segments_text t JOIN segments s ON s.id = t.rowid"
                        " WHERE segments_text MATCH ?1 AND ?2 IS NOT NULL AND ?3 >= 0 AND t.rowid >= ?4"
                        " AND t.rowid < ?5 ORDER BY t.rowid DESC LIMIT ?6"
                        "/*end*/"
                        "/*postgresql: SELECT id, call, seq, json FROM "
                        "segments WHERE $1::text IS NOT NULL AND is_final <> 0"
                        " AND words @@ CAST($2 AS tsquery) AND ($3::bigint = 0 OR "
                        "call = $3::bigint)"
                        " AND id >= $4 AND id < $5 ORDER BY id DESC LIMIT $6 "
                        "*/",
                        "ttiiii", match, words, range->call, range->low, range->below, range->limit);
}
