/* teach and continue_lesson: a topic's passages, one after another; a question in between is answered by
 * search_knowledge, which then goes on with the lesson. */
#include "chat_lessons.h"
#include "chat_work.h"

#include <stdlib.h>
#include <string.h>

struct lesson {
    struct chat_work work;
    char doc_id[KIT_ID_SIZE]; /* to begin with; "": the lesson that is open */
    struct chat_passage passage;
};

static int run_next(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct lesson *lesson = KIT_OWNER(work, struct lesson, work);
    int code = lesson->doc_id[0] ? chat_lesson_begin(db, work->chat_key, lesson->doc_id, failure) : 0;
    return code ? code : chat_lesson_next(db, work->chat_key, &lesson->passage, failure);
}

static void end_next(struct chat_work *work)
{
    const struct chat_passage *passage = &KIT_OWNER(work, struct lesson, work)->passage;
    char *text = chat_lesson_text(passage);
    if (text && !passage->is_over)
        chat_tool_emit(
            work->call, "chat.source",
            json_pack("{s:s, s:s, s:s}", "doc_id", passage->doc_id, "title", passage->title, "excerpt", passage->text));
    if (text)
        chat_tool_end(work->call, &(struct chat_tool_result){.ok = true,
                                                             .take_result = chat_lesson_result(passage, "teaching"),
                                                             .text = text,
                                                             .keeps_open = !passage->is_over && !passage->is_last,
                                                             .is_answer = true});
    else
        chat_tool_fail(work->call, "out of memory");
    free(text);
}

static const struct chat_work_ops next_ops = {.writes = true, .run = run_next, .end = end_next};

static void start_next(struct chat_tool_call *call, const char *doc_id)
{
    struct lesson *lesson = chat_work_new(call, sizeof *lesson, &next_ops);
    if (!lesson) return;
    snprintf(lesson->doc_id, sizeof lesson->doc_id, "%s", doc_id);
    chat_work_submit(&lesson->work);
}

static void start_continue(struct chat_tool_call *call)
{
    start_next(call, "");
}

/* ------------------------------------------------------------------- teach */

struct looking {
    struct chat_work work;
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
};

static int run_look(struct kit_db *db, struct chat_work *work, struct kit_failure *failure)
{
    struct looking *look = KIT_OWNER(work, struct looking, work);
    struct knowledge *knowledge = kit_state(work->chat->kit, &knowledge_module);
    const char *topic = chat_work_text(work, "topic");
    char doc_id[KIT_ID_SIZE];
    struct eio_str turn = {topic, strlen(topic)};
    look->count = 0;
    /* By its name, or else by what is found. */
    int code = knowledge_find_topic(db, topic, doc_id, failure);
    if (!code) {
        memcpy(look->results[0].id, doc_id, sizeof doc_id);
        look->count = 1;
    }
    if (code != 404) return code;
    *failure = (struct kit_failure){.code = 0};
    return knowledge_search(knowledge, db, &turn, 1, look->results, &look->count, failure);
}

static void end_look(struct chat_work *work)
{
    const struct looking *look = KIT_OWNER(work, struct looking, work);
    if (look->count)
        start_next(work->call, look->results[0].id);
    else
        chat_tool_fail(work->call, "The knowledge base has nothing about this topic.");
}

static void start_teach(struct chat_tool_call *call)
{
    static const struct chat_work_ops ops = {.run = run_look, .end = end_look};
    struct looking *look = chat_work_new(call, sizeof *look, &ops);
    if (look) chat_work_submit(&look->work);
}

/* -------------------------------------------------------------------- rows */

static const char *const teach_phrases[] = {"teach me about {topic}", "teach me {topic}",
                                            "explain {topic} step by step", "give me a lesson on {topic}", NULL};
static const char *const continue_phrases[] = {"continue", "go on", "next", "resume the lesson", NULL};

static const struct chat_tool teach = {
    .name = "teach",
    .title = "Teach a topic",
    .description = "Begins a lesson: the passages of a topic of the knowledge base, in order, one at a time. What it "
                   "returns is shown to the user as it is.",
    .parameters = "{\"type\":\"object\",\"required\":[\"topic\"],\"properties\":{\"topic\":{\"type\":\"string\","
                  "\"title\":\"Topic\",\"minLength\":1,\"maxLength\":200}}}",
    .phrases = teach_phrases,
    .start = start_teach,
    .cancel = chat_work_cancel,
};
static const struct chat_tool continue_lesson = {
    .name = "continue_lesson",
    .title = "Go on with the lesson",
    .description = "The next passage of the lesson that is open. What it returns is shown to the user as it is.",
    .parameters = "{\"type\":\"object\",\"properties\":{}}",
    .phrases = continue_phrases,
    .start = start_continue,
    .cancel = chat_work_cancel,
};

int chat_tools_teach_start(struct chat *chat)
{
    int error = chat_tools_add(chat, &teach, NULL);
    return error ? error : chat_tools_add(chat, &continue_lesson, NULL);
}
