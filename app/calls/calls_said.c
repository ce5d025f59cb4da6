/* What the customer of a call said, out of the store. Runs inside operations. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

/* Takes the rows' first column; the second is seq. Returns 0 or the code of failure. */
static int take_rows(struct calls_said *said, struct kit_rows *rows, enum kit_step step, struct kit_failure *failure)
{
    for (; step == KIT_ROW && said->count < CALLS_SAID_MAX; step = kit_rows_next(rows)) {
        char *text = strdup(kit_rows_text(rows, 0));
        if (!text) return kit_fail(failure, 503, NULL, "out of memory");
        said->texts[said->count] = text;
        said->turns[said->count++] = eio_str(text);
        said->seq = kit_rows_int(rows, 1);
    }
    if (step == KIT_FAILED) return kit_db_fail(rows->db, failure);
    kit_rows_end(rows);
    return 0;
}

int calls_said_read(struct kit_db *db, const char *call_id, size_t first, size_t latest, struct calls_said *said,
                    struct kit_failure *failure)
{
    memset(said, 0, sizeof *said);
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT substr(s.text, 1, 2000), s.seq FROM segments s"
                                      " JOIN calls c ON c.id = s.call WHERE c.call_id=? AND s.is_final <> 0"
                                      " AND lower(s.speaker) IN ('customer', 'caller') ORDER BY s.seq LIMIT ?",
                                      "ti", call_id, (int64_t)first);
    int code = take_rows(said, &rows, step, failure);
    if (code) return code;
    step = kit_db_query(db, &rows,
                        "SELECT text, seq FROM (SELECT substr(s.text, 1, 2000) AS text, s.seq AS seq FROM segments s"
                        " JOIN calls c ON c.id = s.call WHERE c.call_id=? AND s.seq > ? AND s.is_final <> 0"
                        " AND lower(s.speaker) IN ('customer', 'caller') ORDER BY s.seq DESC LIMIT ?) AS latest"
                        " ORDER BY seq",
                        "tii", call_id, said->seq, (int64_t)latest);
    return take_rows(said, &rows, step, failure);
}

void calls_said_clear(struct calls_said *said)
{
    for (size_t i = 0; i < said->count; i++) free(said->texts[i]);
    said->count = 0;
}
