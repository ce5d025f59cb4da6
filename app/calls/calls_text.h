/* Full text of final lines. This is the only place that depends on how an engine of the store searches texts: SQLite
 * uses an FTS5 table beside the lines (the last step of calls_schema.c), which is updated here. For an engine that
 * maintains such an index by itself, put and drop do nothing. */
#ifndef CALLS_TEXT_H
#define CALLS_TEXT_H

#include "calls_int.h"

#define CALLS_TEXT_FORMAT "ibi"
/* These final lines are stored: id, text, call. On a thread, in their operation; 0 or the code of failure. A statement
 * for each row, and none that begins by reading: before those, FTS5 writes out what it has collected. */
int calls_text_put(struct kit_db *db, const struct kit_many *lines, struct kit_failure *failure);
/* The lines from first to last are about to be deleted or overwritten. */
int calls_text_drop(struct kit_db *db, int64_t call, int64_t first, int64_t last, struct kit_failure *failure);

#define CALLS_TEXT_QUERY_SIZE 2048
/* All words of what somebody asks for, as the engine wants it; "" if it has none. */
void calls_text_query(const char *text, char query[CALLS_TEXT_QUERY_SIZE]);

/* Lines with all words of the query, the latest first: id, call, seq, json without seq. */
struct calls_text_range {
    const char *query;  /* calls_text_query() */
    int64_t call;       /* 0: of any */
    int64_t low, below; /* ids */
    int64_t limit;
};
enum kit_step calls_text_find(struct kit_db *db, struct kit_rows *rows, const struct calls_text_range *range);

#endif
