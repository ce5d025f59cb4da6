/* Where a lesson is, and cutting documents into passages (chat_lessons.h). */
#include "chat_lessons.h"

#include <stdlib.h>
#include <string.h>

struct position {
    char doc_id[KIT_ID_SIZE]; /* with whose topic the lesson began */
    int64_t document, byte;   /* of the topic; of that document's text */
};

int chat_lesson_begin(struct kit_db *db, int64_t chat_key, const char *doc_id, struct kit_failure *failure)
{
    if (kit_db_run(db,
                   "INSERT INTO chat_lessons(chat, doc_id, document, byte) VALUES (?, ?, 0, 0)"
                   " ON CONFLICT(chat) DO UPDATE SET doc_id=excluded.doc_id, document=0, byte=0",
                   "it", chat_key, doc_id))
        return kit_db_fail(db, failure);
    return 0;
}

static int read_position(struct kit_db *db, int64_t chat_key, struct position *position, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT doc_id, document, byte FROM chat_lessons WHERE chat=?", "i", chat_key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, NULL, "no lesson is open");
    snprintf(position->doc_id, sizeof position->doc_id, "%s", kit_rows_text(&rows, 0));
    position->document = kit_rows_int(&rows, 1);
    position->byte = kit_rows_int(&rows, 2);
    kit_rows_end(&rows);
    return 0;
}

int chat_lesson_is_open(struct kit_db *db, int64_t chat_key, bool *is_open, struct kit_failure *failure)
{
    struct position position;
    int code = read_position(db, chat_key, &position, failure);
    *is_open = code == 0;
    if (code != 404) return code;
    *failure = (struct kit_failure){.code = 0};
    return 0;
}

/* -------------------------------------------------------------------- cutting */

static size_t last_after(const char *text, size_t n, const char *mark)
{
    size_t size = strlen(mark);
    for (size_t i = n; i >= size && i > n / 3; i--)
        if (memcmp(text + i - size, mark, size) == 0) return i;
    return 0;
}

/* How much of a text is the next passage. */
static size_t passage_size(const char *text)
{
    static const char *const marks[] = {"\n\n", "\n", ". ", "? ", "! ", " "};
    size_t n = strnlen(text, CHAT_PASSAGE_BYTES + 1), cut = 0;
    if (n <= CHAT_PASSAGE_BYTES) return n;
    n = CHAT_PASSAGE_BYTES;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0] && !cut; i++) cut = last_after(text, n, marks[i]);
    if (cut) return cut;
    while (n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80) n--; /* not within a character */
    return n;
}

static void cut_passage(const struct knowledge_part *part, struct position *position, struct chat_passage *passage)
{
    size_t size = strlen(part->text), from = (size_t)position->byte < size ? (size_t)position->byte : 0;
    size_t n = passage_size(part->text + from);
    memcpy(passage->text, part->text + from, n);
    passage->text[n] = 0;
    snprintf(passage->topic, sizeof passage->topic, "%s", part->topic);
    snprintf(passage->title, sizeof passage->title, "%s", part->title);
    snprintf(passage->doc_id, sizeof passage->doc_id, "%s", part->id);
    bool ends_document = from + n == size;
    passage->is_last = ends_document && part->is_last;
    position->document += ends_document;
    position->byte = ends_document ? 0 : (int64_t)(from + n);
}

static int store_position(struct kit_db *db, int64_t chat_key, const struct position *position,
                          struct kit_failure *failure)
{
    if (kit_db_run(db, "UPDATE chat_lessons SET document=?, byte=? WHERE chat=?", "iii", position->document,
                   position->byte, chat_key))
        return kit_db_fail(db, failure);
    return 0;
}

static int forget(struct kit_db *db, int64_t chat_key, struct kit_failure *failure)
{
    return kit_db_run(db, "DELETE FROM chat_lessons WHERE chat=?", "i", chat_key) ? kit_db_fail(db, failure) : 0;
}

int chat_lesson_next(struct kit_db *db, int64_t chat_key, struct chat_passage *passage, struct kit_failure *failure)
{
    struct position position;
    struct knowledge_part part = {.text = NULL};
    memset(passage, 0, sizeof *passage);
    int code = read_position(db, chat_key, &position, failure);
    if (code) return code;
    code = knowledge_read_part(db, position.doc_id, position.document, &part, failure);
    passage->is_over = code == 404;
    if (code == 404) {
        *failure = (struct kit_failure){.code = 0};
        return forget(db, chat_key, failure);
    }
    if (code) return code;
    cut_passage(&part, &position, passage);
    free(part.text);
    return store_position(db, chat_key, &position, failure);
}

/* ---------------------------------------------------------------------- words */

char *chat_lesson_text(const struct chat_passage *passage)
{
    if (passage->is_over) return strdup("That was all. Ask a question, or for another topic.");
    json_t *text = json_sprintf("**%s**\n\n%s\n\n%s", passage->title, passage->text,
                                passage->is_last ? "That is the end of this topic."
                                                 : "Say \"continue\" to go on, or ask a question.");
    char *copy = text ? strdup(json_string_value(text)) : NULL;
    json_decref(text);
    return copy;
}

json_t *chat_lesson_result(const struct chat_passage *passage, const char *mode)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b}", "mode", passage->is_over ? "chat" : mode, "topic", passage->topic,
                     "doc_id", passage->doc_id, "title", passage->title, "is_last", passage->is_last);
}
