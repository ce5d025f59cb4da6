/* Full text of final lines. This is the only place that depends on how an engine of the store searches texts: SQLite
 * uses an FTS5 table beside the lines (the last step of calls_schema.c), which is updated here. For an engine that
 * maintains such an index by itself, put and drop do nothing. */
#ifndef CALLS_TEXT_H
#define CALLS_TEXT_H

#include "calls_int.h"

/* New lines come into the index a moment later, many at a time (calls_index.c): FTS5 writes a piece of the index for
 * each transaction, whatever is in it. Their ids are above `indexed` of segments_text_state; what changes up to there
 * changes in the index with it. Takes in the next lines, at most so many ids; *is_behind: there are more. Inside a
 * write. */
int calls_text_catch_up(struct kit_db *db, int64_t most, bool *is_behind, struct kit_failure *failure);

#define CALLS_TEXT_FORMAT "ibi"
/* These final lines, with ids that the index has passed, are stored: id, text, call. On a thread, in their operation; 0
 * or the code of failure. A statement for each row, and none that begins by reading: before those, FTS5 writes out what
 * it has collected. */
int calls_text_put(struct kit_db *db, const struct kit_many *lines, struct kit_failure *failure);
/* The lines from first to last are about to be deleted or overwritten. */
int calls_text_drop(struct kit_db *db, int64_t call, int64_t first, int64_t last, struct kit_failure *failure);

/* calls_index.c. Lines were stored; a request that searches, submitted once they are in the index. */
void calls_index_note(const struct calls *calls);
void calls_index_wait(const struct calls *calls, struct kit_request *request);

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
