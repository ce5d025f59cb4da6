/* search_knowledge: the knowledge base's best passages for a question, each a source of the answer. In a lesson the
 * next passage of that comes with them: the lesson pauses for the answer, and goes on. */
#include "chat_lessons.h"
#include "chat_work.h"

#include <stdlib.h>
#include <string.h>

struct search {
    struct chat_work work;
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
    bool has_lesson;
    struct chat_passage passage; /* of the lesson */
};

static void end_search(struct chat_work *work);

static int run_search(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct search *search = KIT_OWNER(work, struct search, work);
    struct knowledge *knowledge = kit_state(work->chat->kit, &knowledge_module);
    const char *query = chat_work_text(work, "query");
    struct eio_str turn = {query, strlen(query)};
    search->count = 0;
    int code = chat_lesson_is_open(db, work->chat_key, &search->has_lesson, failure);
    if (code) return code;
    return knowledge_search(knowledge, db, &turn, 1, search->results, &search->count, failure);
}

static json_t *make_documents(const struct search *search)
{
    json_t *documents = json_array();
    for (size_t i = 0; i < search->count; i++) {
        const struct knowledge_result *result = &search->results[i];
        json_array_append_new(documents, json_pack("{s:s, s:s, s:s, s:f}", "id", result->id, "title", result->title,
                                                   "excerpt", result->excerpt, "relevance", result->relevance));
    }
    json_t *result = json_pack("{s:o}", "documents", documents);
    if (!search->passage.text[0]) return result;
    char *then = chat_lesson_text(&search->passage);
    json_object_set_new(result, "mode", json_string("answering"));
    json_object_set_new(result, "topic", json_string(search->passage.topic));
    json_object_set_new(result, "then", json_sprintf("Back to our topic.\n\n%s", then ? then : ""));
    free(then);
    return result;
}

static int run_resume(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct chat_passage *passage = &KIT_OWNER(work, struct search, work)->passage;
    int code = chat_lesson_next(db, work->chat_key, passage, failure);
    if (code != 404) return code;
    /* It has ended meanwhile; what was found stands. */
    *failure = (struct kit_failure){.code = 0};
    memset(passage, 0, sizeof *passage);
    return 0;
}

static void resume_lesson(struct search *search)
{
    static const struct chat_work_ops ops = {.writes = true, .run = run_resume, .end = end_search};
    struct search *next = chat_work_new(search->work.call, sizeof *next, &ops);
    if (!next) return;
    memcpy(next->results, search->results, sizeof next->results);
    next->count = search->count;
    chat_work_submit(&next->work);
}

static void end_search(struct chat_work *work)
{
    struct search *search = KIT_OWNER(work, struct search, work);
    if (search->has_lesson) {
        resume_lesson(search);
        return;
    }
    json_t *result = make_documents(search);
    char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
    for (size_t i = 0; i < search->count; i++)
        chat_tool_emit(work->call, "chat.source",
                       json_pack("{s:s, s:s, s:s}", "doc_id", search->results[i].id, "title", search->results[i].title,
                                 "excerpt", search->results[i].excerpt));
    if (text) {
        chat_tool_end(work->call, &(struct chat_tool_result){.ok = true, .take_result = result, .text = text});
    } else {
        json_decref(result);
        chat_tool_fail(work->call, "out of memory");
    }
    free(text);
}

static void start_search(struct chat_tool_call *call)
{
    static const struct chat_work_ops ops = {.run = run_search, .end = end_search};
    struct search *search = chat_work_new(call, sizeof *search, &ops);
    if (search) chat_work_submit(&search->work);
}

static const char *const phrases[] = {"search for {query}", "look up {query}", "find documents about {query}",
                                      "what do the documents say about {query}", NULL};

static const struct chat_tool tool = {
    .name = "search_knowledge",
    .title = "Search the knowledge base",
    .description = "Finds the passages of the knowledge base that fit a question best. Answer from them and name their "
                   "titles.",
    .parameters = "{\"type\":\"object\",\"required\":[\"query\"],\"properties\":{\"query\":{\"type\":\"string\","
                  "\"title\":\"Question\",\"minLength\":1,\"maxLength\":2000}}}",
    .phrases = phrases,
    .start = start_search,
    .cancel = chat_work_cancel,
};

int chat_tools_search_start(struct chat *chat)
{
    return chat_tools_add(chat, &tool, NULL);
}
