/* A chat's lesson: a topic of the knowledge base, passage by passage, in the order of its file. Where it is, is stored,
 * so it goes on after any pause, on any device. */
#ifndef CHAT_LESSONS_H
#define CHAT_LESSONS_H

#include "chat_int.h"
#include "knowledge.h"

#define CHAT_PASSAGE_BYTES 1200 /* of a document at a time, to the end of a paragraph or a sentence */

/* What comes next, or that the lesson is over. */
struct chat_passage {
    char topic[160], title[160], doc_id[KIT_ID_SIZE];
    char text[CHAT_PASSAGE_BYTES + 1];
    bool is_over; /* there was no passage left: text is empty, and the lesson is forgotten */
    bool is_last;
};

/* In a write: a lesson on the topic of a document begins, in place of the one before. */
int chat_lesson_begin(struct kit_db *db, int64_t chat_key, const char *doc_id, struct kit_failure *failure);
/* In a write: the next passage. 404: the chat has no lesson. */
int chat_lesson_next(struct kit_db *db, int64_t chat_key, struct chat_passage *passage, struct kit_failure *failure);
/* Whether the chat has one. */
int chat_lesson_is_open(struct kit_db *db, int64_t chat_key, bool *is_open, struct kit_failure *failure);

/* What the model reads of a passage, and the tool's result; NULL: out of memory. */
char *chat_lesson_text(const struct chat_passage *passage);
json_t *chat_lesson_result(const struct chat_passage *passage, const char *mode);

#endif
