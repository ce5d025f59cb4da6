/* Full text of final lines. This is the only place that depends on how an engine of the store searches texts: SQLite
 * uses an FTS5 table beside the lines, which is updated here. PostgreSQL keeps the words in a column of the line, and
 * an index of it by itself: put and drop do nothing. It is given them as words, since finding them in a text
 * (to_tsvector()) would be half of what a line costs it. */
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

/* FTS5 keeps the words of lines that were dropped, with their places, until it merges them with those that take them
 * out. In the write that deletes a call: that is to be done, by the next process if this one ends. */
int calls_text_must_forget(struct kit_db *db, struct kit_failure *failure);
/* A piece of that merge, if it is to be done; is_first: it begins, and *deletions is set, for the other pieces.
 * *is_over: the words are gone, as far as lines that were dropped before the first piece are concerned. Inside a write.
 */
int calls_text_forget(struct kit_db *db, bool is_first, int64_t *deletions, bool *is_over, struct kit_failure *failure);

/* calls_index.c. Lines were stored; a request that searches, submitted once they are in the index. */
void calls_index_note(const struct calls *calls);
void calls_index_wait(const struct calls *calls, struct kit_request *request);
/* A call was deleted: its words leave the index's file a moment later. */
void calls_index_forget(const struct calls *calls);

/* For an engine that is given a line's words: in small letters without accents of Latin ones, with `between` (at most 3
 * bytes) between them, and a terminator; returns how long that is. Words of more than 255 bytes are left out. Pure. */
#define CALLS_TEXT_WORDS_SIZE(text_size) ((text_size)*4 + 1)
size_t calls_text_words(struct eio_str text, const char *between, char *out);

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
