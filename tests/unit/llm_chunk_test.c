/* Chunks that are read in place: which are, and that what is read of them is what a tree of them says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard.h"
#include "llm_chunk.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK(delta) \
    "{\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}"

static void a_piece_of_text_is_read_in_place(void **state)
{
    static const struct {
        const char *chunk, *content;
    } rows[] = {
        {CHUNK("{\"content\":\"Hi\"}"), "\"Hi\""},
        {CHUNK("{\"role\":\"assistant\",\"content\":\"a \\n\\u00e9 b\",\"refusal\":null}"), "\"a \\n\\u00e9 b\""},
        {CHUNK("{\"content\":\"\"}"), NULL},
        {CHUNK("{}"), NULL},
        {" { \"choices\" : [ { \"delta\" : { \"content\" : \"x\" } } ] , \"usage\" : null, \"error\": null } ",
         "\"x\""},
        {"{\"choices\":[{\"delta\":{\"content\":\"x\",\"reasoning\":\"\",\"tool_calls\":null}}]}", "\"x\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct llm_chunk_head head = {NULL, 0};
        struct eio_str content;
        assert_true(llm_chunk_scan(&head, eio_str(rows[i].chunk), &content));
        assert_true(llm_chunk_scan(&head, eio_str(rows[i].chunk), &content)); /* with the head that is known now */
        llm_chunk_head_clear(&head);
        if (rows[i].content) assert_int_equal(content.n, strlen(rows[i].content));
        if (rows[i].content) assert_memory_equal(content.p, rows[i].content, content.n);
        if (!rows[i].content) assert_null(content.p);
    }
}

static void whatever_says_more_is_not(void **state)
{
    static const char *const rows[] = {
        "",
        "[DONE]",
        "[]",
        "{}",
        "{\"choices\":[]}",
        "{\"choices\":{}}",
        CHUNK("{\"content\":\"x\",\"tool_calls\":[]}"),
        CHUNK("{\"content\":\"x\",\"function_call\":{}}"),
        CHUNK("{\"content\":\"x\",\"reasoning_content\":\"t\"}"),
        CHUNK("{\"content\":[{\"text\":\"x\"}]}"),
        CHUNK("{\"content\":\"x\",\"content\":\"y\"}"),
        CHUNK("{\"content\":\"x\",\"refus\\u0061l\":\"y\"}"),
        CHUNK("{\"content\":\"nul \\u0000\"}"),
        CHUNK("{\"content\":\"half \\ud800\"}"),
        CHUNK("{\"content\":\"half \\uDC00\"}"),
        CHUNK("null"),
        CHUNK("{\"content\":\"x\"}") "x",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}",
        "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}},{\"delta\":{\"content\":\"y\"}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"error\":{\"message\":\"no\"}}",
        "{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"object\":\"error\"}",
        "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct llm_chunk_head head = {NULL, 0};
        struct eio_str content;
        assert_true(llm_chunk_scan(&head, eio_str(CHUNK("{\"content\":\"x\"}")), &content));
        if (llm_chunk_scan(&head, eio_str(rows[i]), &content)) fail_msg("read in place: %s", rows[i]);
        llm_chunk_head_clear(&head);
    }
}

/* What is read in place of it, if it is, is what the tree says. Returns whether it was. */
static bool compare(struct llm_chunk_head *head, const char *p, size_t n)
{
    static struct guard guard;
    struct eio_str content;
    struct eio_str text = {(const char *)guard_put(&guard, (const uint8_t *)p, n), n};
    bool is_read = llm_chunk_scan(head, text, &content);
    if (is_read) {
        json_t *tree = json_loadb(text.p, text.n, 0, NULL);
        const json_t *delta = json_object_get(json_array_get(json_object_get(tree, "choices"), 0), "delta");
        const json_t *said = json_object_get(delta, "content");
        char *decoded = malloc(content.n + 1);
        size_t size = content.n ? kit_json_decode(content, decoded) : 0;
        assert_non_null(tree);
        assert_int_equal(size, json_is_string(said) ? json_string_length(said) : 0);
        if (size) assert_memory_equal(decoded, json_string_value(said), size);
        free(decoded);
        json_decref(tree);
    }
    return is_read;
}

static void damaged_chunks_are_read_as_their_trees_or_not_at_all(void **state)
{
    static const char chunk[] =
        "{\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":17,\"choices\":[{\"index\":0,\"delta\":{"
        "\"role\":"
        "\"assistant\",\"content\":\"a\\n\\u00e9\xc3\xa9 b\",\"refusal\":null},\"logprobs\":null,"
        "\"finish_reason\":null}],\"usage\":null}";
    static const char put[] = "\"\\{}[],:0e-nu \x80\xff\n";
    size_t n = sizeof chunk - 1, read = 0;
    char text[sizeof chunk + 1];
    struct llm_chunk_head head = {NULL, 0};
    (void)state;
    assert_true(compare(&head, chunk, n));
    assert_true(head.n > 0);
    for (size_t at = 0; at < n; at++) {
        memcpy(text, chunk, at);
        memcpy(text + at, chunk + at + 1, n - at - 1);
        read += compare(&head, text, n - 1);
        for (size_t i = 0; i < sizeof put - 1; i++) {
            memcpy(text, chunk, n);
            text[at] = put[i];
            read += compare(&head, text, n);
        }
    }
    assert_true(read > 100);
    llm_chunk_head_clear(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_of_text_is_read_in_place),
        cmocka_unit_test(whatever_says_more_is_not),
        cmocka_unit_test(damaged_chunks_are_read_as_their_trees_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
