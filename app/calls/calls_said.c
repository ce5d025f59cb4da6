/* What the customer of a call said, out of the store. Runs inside operations. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

/* Takes the rows' first column; the second is seq. Returns what the last step did. */
static int take_rows(struct calls_said *said, sqlite3_stmt *rows, int step)
{
    for (; step == SQLITE_ROW && said->count < CALLS_SAID_MAX; step = sqlite3_step(rows)) {
        char *text = strdup((const char *)sqlite3_column_text(rows, 0));
        if (!text) return SQLITE_NOMEM;
        said->texts[said->count] = text;
        said->turns[said->count++] = eio_str(text);
        said->seq = sqlite3_column_int64(rows, 1);
    }
    return step == SQLITE_ROW ? SQLITE_DONE : step;
}

int calls_said_read(struct kit_db *db, const char *call_id, size_t first, size_t latest, struct calls_said *said,
                    struct kit_failure *failure)
{
    memset(said, 0, sizeof *said);
    sqlite3_stmt *rows =
        kit_db_statement(db, "SELECT substr(s.text, 1, 2000), s.seq FROM segments s JOIN calls c ON c.id = s.call"
                             " WHERE c.call_id=? AND s.is_final AND lower(s.speaker) IN ('customer', 'caller')"
                             " ORDER BY s.seq LIMIT ?");
    int step = take_rows(said, rows, kit_db_step(rows, "ti", call_id, (int64_t)first));
    if (step != SQLITE_DONE) return kit_db_fail(db, failure);
    sqlite3_reset(rows);
    rows = kit_db_statement(
        db, "SELECT text, seq FROM (SELECT substr(s.text, 1, 2000) AS text, s.seq AS seq FROM segments s"
            " JOIN calls c ON c.id = s.call WHERE c.call_id=? AND s.seq > ? AND s.is_final"
            " AND lower(s.speaker) IN ('customer', 'caller') ORDER BY s.seq DESC LIMIT ?) ORDER BY seq");
    step = take_rows(said, rows, kit_db_step(rows, "tii", call_id, said->seq, (int64_t)latest));
    if (step != SQLITE_DONE) return kit_db_fail(db, failure);
    sqlite3_reset(rows);
    return 0;
}

void calls_said_clear(struct calls_said *said)
{
    for (size_t i = 0; i < said->count; i++) free(said->texts[i]);
    said->count = 0;
}
