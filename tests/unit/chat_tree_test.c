/* The object tree: each change, each refusal, and random changes against JSON Patch and a second tab. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat_tree.h"

static const struct chat_tree_limits limits = {.nodes = 40, .depth = 5};
static struct kit_failure failure;
static char *texts[16];
static size_t text_count;

static const char *text_of(json_t *take_value)
{
    char *text = json_dumps(take_value, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(take_value);
    texts[text_count++] = text;
    return text;
}

static int end(void **state)
{
    (void)state;
    while (text_count) free(texts[--text_count]);
    return 0;
}

static int apply(json_t *tree, const char *delta, struct chat_tree_change *change)
{
    json_t *value = json_loads(delta, 0, NULL);
    assert_non_null(value);
    memset(&failure, 0, sizeof failure);
    int code = chat_tree_apply(tree, value, &limits, change, &failure);
    json_decref(value);
    return code;
}

static void assert_applied(json_t *tree, const char *delta, const char *as, const char *patch)
{
    struct chat_tree_change change;
    int code = apply(tree, delta, &change);
    if (code) fail_msg("%s: %d %s", delta, code, failure.message);
    assert_string_equal(text_of(change.delta), as);
    assert_string_equal(text_of(change.patch), patch);
}

static void assert_refused(json_t *tree, const char *delta, int code, const char *field)
{
    struct chat_tree_change change;
    json_t *before = json_deep_copy(tree);
    assert_int_equal(apply(tree, delta, &change), code);
    assert_string_equal(failure.field, field);
    assert_null(change.delta);
    assert_null(change.patch);
    assert_true(json_equal(before, tree));
    json_decref(before);
}

/* root: a (a1, a2), b */
static json_t *sample(void)
{
    return json_loads("{\"root\":{\"id\":\"root\",\"value\":\"root\",\"children\":["
                      "{\"id\":\"a\",\"value\":\"A\",\"children\":[{\"id\":\"a1\",\"value\":1,\"children\":[]},"
                      "{\"id\":\"a2\",\"value\":2,\"children\":[]}]},{\"id\":\"b\",\"value\":\"B\",\"children\":[]}]}}",
                      0, NULL);
}

static void the_seeds_own_example_adds_a_node(void **state)
{
    json_t *tree = chat_tree_new();
    (void)state;
    assert_applied(tree,
                   "{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":\"node-1\",\"value\":\"Task 1\","
                   "\"children\":[]}}",
                   "{\"action\":\"add\",\"node\":{\"children\":[],\"id\":\"node-1\",\"value\":\"Task 1\"},\"path\":\"/"
                   "root/children\"}",
                   "[{\"op\":\"add\",\"path\":\"/root/children/0\",\"value\":{\"children\":[],\"id\":\"node-1\","
                   "\"value\":\"Task 1\"}}]");
    assert_string_equal(text_of(tree), "{\"root\":{\"children\":[{\"children\":[],\"id\":\"node-1\",\"value\":\"Task "
                                       "1\"}],\"id\":\"root\",\"value\":\"root\"}}");
}

static void a_new_node_is_made_whole(void **state)
{
    json_t *tree = sample();
    (void)state;
    assert_applied(tree,
                   "{\"action\":\"add\",\"path\":\"/root/children/b/children\",\"node\":{\"children\":[{}],\"due\":1}}",
                   "{\"action\":\"add\",\"node\":{\"children\":[{\"children\":[],\"id\":\"node-7\",\"value\":\"\"}],"
                   "\"due\":1,\"id\":\"node-6\",\"value\":\"\"},\"path\":\"/root/children/b/children\"}",
                   "[{\"op\":\"add\",\"path\":\"/root/children/1/children/0\",\"value\":{\"children\":[{\"children\":[]"
                   ",\"id\":\"node-7\",\"value\":\"\"}],\"due\":1,\"id\":\"node-6\",\"value\":\"\"}}]");
    json_decref(tree);
}

static void a_place_is_an_id_or_a_position_or_the_end(void **state)
{
    json_t *tree = sample();
    (void)state;
    assert_applied(tree, "{\"action\":\"add\",\"path\":\"/root/children/b\",\"node\":{\"id\":\"c\"}}",
                   "{\"action\":\"add\",\"node\":{\"children\":[],\"id\":\"c\",\"value\":\"\"},\"path\":"
                   "\"/root/children/b\"}",
                   "[{\"op\":\"add\",\"path\":\"/root/children/1\",\"value\":{\"children\":[],\"id\":\"c\",\"value\":"
                   "\"\"}}]");
    assert_applied(tree, "{\"action\":\"move\",\"from\":\"/root/children/2\",\"path\":\"/root/children/0\"}",
                   "{\"action\":\"move\",\"from\":\"/root/children/b\",\"path\":\"/root/children/a\"}",
                   "[{\"from\":\"/root/children/2\",\"op\":\"move\",\"path\":\"/root/children/0\"}]");
    assert_applied(tree, "{\"action\":\"move\",\"from\":\"/root/children/b\",\"path\":\"/root/children/-\"}",
                   "{\"action\":\"move\",\"from\":\"/root/children/b\",\"path\":\"/root/children\"}",
                   "[{\"from\":\"/root/children/0\",\"op\":\"move\",\"path\":\"/root/children/2\"}]");
    json_decref(tree);
}

static void an_id_of_digits_is_not_taken_for_a_position(void **state)
{
    json_t *tree = sample();
    (void)state;
    struct chat_tree_change change;
    assert_int_equal(apply(tree, "{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":\"0\"}}", &change),
                     0);
    json_decref(change.delta);
    json_decref(change.patch);
    assert_applied(tree, "{\"action\":\"remove\",\"path\":\"/root/children/0\"}",
                   "{\"action\":\"remove\",\"path\":\"/root/children/0\"}",
                   "[{\"op\":\"remove\",\"path\":\"/root/children/2\"}]");
    json_decref(tree);
}

static void an_update_merges(void **state)
{
    json_t *tree = sample();
    (void)state;
    assert_applied(tree,
                   "{\"action\":\"update\",\"path\":\"/root/children/a/children/1\",\"node\":{\"id\":\"a2\","
                   "\"children\":[],\"value\":\"two\",\"a/b\":true}}",
                   "{\"action\":\"update\",\"node\":{\"a/b\":true,\"value\":\"two\"},\"path\":\"/root/children/a/"
                   "children/a2\"}",
                   "[{\"op\":\"replace\",\"path\":\"/root/children/0/children/1/"
                   "value\",\"value\":\"two\"},{\"op\":\"add\",\"path\":\"/root/children/0/children/1/a~1b\",\"value\":"
                   "true}]");
    assert_applied(tree, "{\"action\":\"update\",\"path\":\"/root/children/a/children/a2\",\"node\":{\"a/b\":null}}",
                   "{\"action\":\"update\",\"node\":{\"a/b\":null},\"path\":\"/root/children/a/children/a2\"}",
                   "[{\"op\":\"remove\",\"path\":\"/root/children/0/children/1/a~1b\"}]");
    json_decref(tree);
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
    static const struct {
        const char *delta;
        int code;
        const char *field;
    } rows[] = {
        {"{}", 400, "/delta/action"},
        {"{\"action\":\"sing\",\"path\":\"/root\"}", 400, "/delta/action"},
        {"{\"action\":\"remove\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"root\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/tree\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children/a/value\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children/~2\"}", 400, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children/2\"}", 409, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children/01\"}", 409, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children/99999999999999999999\"}", 409, "/delta/path"},
        {"{\"action\":\"remove\",\"path\":\"/root/children/gone\"}", 409, "/delta/path"},
        {"{\"action\":\"add\",\"path\":\"/root/children\"}", 400, "/delta/node"},
        {"{\"action\":\"add\",\"path\":\"/root\",\"node\":{}}", 400, "/delta/path"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":7}", 400, "/delta/node"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":7}}", 400, "/delta/node/id"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":\"a b\"}}", 400, "/delta/node/id"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":\"a2\"}}", 409, "/delta/node/id"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"id\":\"x\",\"children\":[{\"id\":\"x\"}]}}", 409,
         "/delta/node/id"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"children\":{}}}", 400, "/delta/node/children"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"children\":[1]}}", 400, "/delta/node"},
        {"{\"action\":\"add\",\"path\":\"/root/children/a/children/a1/children\",\"node\":{\"children\":[{\"children\":"
         "[{}]}]}}",
         413, "/delta/node"},
        {"{\"action\":\"add\",\"path\":\"/root/children\",\"node\":{\"children\":[{},{},{},{},{},{},{},{},{},{},{},{},"
         "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}]}}",
         413, "/delta/node"},
        {"{\"action\":\"update\",\"path\":\"/root/children/a\",\"node\":{}}", 400, "/delta/node"},
        {"{\"action\":\"update\",\"path\":\"/root/children/a\"}", 400, "/delta/node"},
        {"{\"action\":\"update\",\"path\":\"/root/children/a\",\"node\":{\"id\":\"z\"}}", 400, "/delta/node/id"},
        {"{\"action\":\"update\",\"path\":\"/root/children/a\",\"node\":{\"children\":[{}]}}", 400,
         "/delta/node/children"},
        {"{\"action\":\"move\",\"path\":\"/root/children\"}", 400, "/delta/from"},
        {"{\"action\":\"move\",\"path\":\"/root/children\",\"from\":\"/root\"}", 400, "/delta/from"},
        {"{\"action\":\"move\",\"path\":\"/root/children\",\"from\":\"/root/children/gone\"}", 409, "/delta/from"},
        {"{\"action\":\"move\",\"path\":\"/root/children/a/children/a1/children\",\"from\":\"/root/children/a\"}", 409,
         "/delta/path"},
        {"{\"action\":\"move\",\"path\":\"/root/children/a/children\",\"from\":\"/root/children/a\"}", 409,
         "/delta/path"},
    };
    json_t *tree = sample();
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_refused(tree, rows[i].delta, rows[i].code, rows[i].field);
    json_decref(tree);
}

static void a_node_is_found_by_its_value_or_id(void **state)
{
    json_t *tree = sample();
    (void)state;
    char *path = chat_tree_find(tree, "b");
    assert_string_equal(path, "/root/children/b");
    free(path);
    path = chat_tree_find(tree, "A2");
    assert_string_equal(path, "/root/children/a/children/a2");
    free(path);
    assert_null(chat_tree_find(tree, "elsewhere"));
    json_decref(tree);
}

/* -------------------------------------------------------------- random changes */

/* RFC 6901 by positions, as far as patches of trees need it: the container, and the last segment. */
static json_t *container_of_path(json_t *tree, const char *path, char last[64])
{
    json_t *at = tree;
    const char *p = path;
    while (*p == '/') {
        size_t n = strcspn(++p, "/");
        snprintf(last, 64, "%.*s", (int)n, p);
        p += n;
        if (*p) at = json_is_array(at) ? json_array_get(at, strtoul(last, NULL, 10)) : json_object_get(at, last);
        assert_non_null(at);
    }
    return at;
}

static json_t *take_out(json_t *tree, const char *path)
{
    char last[64];
    json_t *from = container_of_path(tree, path, last), *value;
    if (json_is_array(from)) {
        value = json_incref(json_array_get(from, strtoul(last, NULL, 10)));
        assert_non_null(value);
        json_array_remove(from, strtoul(last, NULL, 10));
    } else {
        value = json_incref(json_object_get(from, last));
        json_object_del(from, last);
    }
    return value;
}

static void put_in(json_t *tree, const char *path, json_t *take_value)
{
    char last[64];
    json_t *into = container_of_path(tree, path, last);
    if (json_is_array(into))
        assert_int_equal(json_array_insert_new(into, strtoul(last, NULL, 10), take_value), 0);
    else
        json_object_set_new(into, last, take_value);
}

static void apply_patch(json_t *tree, const json_t *patch)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)patch, i, one)
    {
        const char *op = json_string_value(json_object_get(one, "op"));
        const char *path = json_string_value(json_object_get(one, "path"));
        if (strcmp(op, "move") == 0)
            put_in(tree, path, take_out(tree, json_string_value(json_object_get(one, "from"))));
        else if (strcmp(op, "remove") == 0)
            json_decref(take_out(tree, path));
        else
            put_in(tree, path, json_deep_copy(json_object_get(one, "value")));
    }
}

static unsigned rolled = 1;
static unsigned roll(unsigned below)
{
    rolled = rolled * 1103515245u + 12345u;
    return (rolled >> 16) % below;
}

/* A path that leads somewhere, mostly. */
static void random_path(const json_t *node, char *path, size_t size)
{
    snprintf(path, size, "/root");
    while (json_array_size(json_object_get(node, "children")) && roll(3)) {
        const json_t *children = json_object_get(node, "children");
        size_t at = roll((unsigned)json_array_size(children)), n = strlen(path);
        node = json_array_get(children, at);
        if (roll(2))
            snprintf(path + n, size - n, "/children/%s", json_string_value(json_object_get(node, "id")));
        else
            snprintf(path + n, size - n, "/children/%zu", at);
    }
}

static json_t *random_delta(const json_t *tree)
{
    static const char *const actions[] = {"add", "add", "update", "remove", "move", "move"};
    char path[1024], from[1024];
    const char *action = actions[roll(6)];
    random_path(json_object_get(tree, "root"), path, sizeof path - 16);
    random_path(json_object_get(tree, "root"), from, sizeof from);
    if ((*action == 'a' || *action == 'm') && roll(2)) strcat(path, roll(2) ? "/children" : "/children/0");
    return json_pack("{s:s, s:s, s:s, s:{s:i}}", "action", action, "path", path, "from", from, "node", "value",
                     (int)roll(100));
}

/* A second tab applies the deltas that it is sent, a third the patches. */
static void tabs_converge(void **state)
{
    json_t *tree = chat_tree_new(), *tab = chat_tree_new(), *patched = chat_tree_new();
    size_t applied = 0, refused = 0;
    (void)state;
    for (int i = 0; i < 4000; i++) {
        struct chat_tree_change change, again;
        json_t *delta = random_delta(tree), *before = json_deep_copy(tree);
        if (chat_tree_apply(tree, delta, &limits, &change, &failure) == 0) {
            assert_int_equal(chat_tree_apply(tab, change.delta, &limits, &again, &failure), 0);
            assert_true(json_equal(change.delta, again.delta));
            assert_true(json_equal(change.patch, again.patch));
            apply_patch(patched, change.patch);
            assert_true(json_equal(tree, tab));
            assert_true(json_equal(tree, patched));
            json_decref(change.delta);
            json_decref(change.patch);
            json_decref(again.delta);
            json_decref(again.patch);
            applied++;
        } else {
            assert_true(json_equal(tree, before));
            refused++;
        }
        json_decref(before);
        json_decref(delta);
    }
    assert_true(applied > 500);
    assert_true(refused > 100);
    json_decref(tree);
    json_decref(tab);
    json_decref(patched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_seeds_own_example_adds_a_node, end),
        cmocka_unit_test_teardown(a_new_node_is_made_whole, end),
        cmocka_unit_test_teardown(a_place_is_an_id_or_a_position_or_the_end, end),
        cmocka_unit_test_teardown(an_id_of_digits_is_not_taken_for_a_position, end),
        cmocka_unit_test_teardown(an_update_merges, end),
        cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(a_node_is_found_by_its_value_or_id),
        cmocka_unit_test(tabs_converge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
