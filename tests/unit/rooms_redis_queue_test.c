/* rooms_redis_queue.c: order, what is dropped, what stays when the connection is lost; and a model of it. */
#include "test.h"
#include "rooms_redis_conn.h"

static void add(struct rooms__redis_queue *queue, const char *text, enum rooms__redis_record_kind kind)
{
    const struct rooms__redis_record record = {(uint32_t)strlen(text), (uint8_t)kind, {NULL}};
    uint8_t *bytes = rooms__redis_queue_add(queue, &record);
    assert_non_null(bytes);
    memcpy(bytes, text, strlen(text));
}

static void assert_waits(const struct rooms__redis_queue *queue, const char *expected)
{
    struct rooms_bytes bytes = rooms__redis_queue_unwritten(queue);
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)bytes.n, bytes.n ? (const char *)bytes.p : "");
    assert_string_equal(text, expected);
}

static void count_record(void *ctx, const struct rooms__redis_record *record)
{
    assert_int_not_equal(record->kind, ROOMS__RECORD_POST);
    ++*(size_t *)ctx;
}

TEST(redis_queue, what_was_written_waits_for_its_answers_in_order)
{
    struct rooms__redis_queue queue = {0};
    struct rooms__redis_record record;
    add(&queue, "one", ROOMS__RECORD_POST);
    add(&queue, "ask", ROOMS__RECORD_ASK);
    assert_null(rooms__redis_queue_peek(&queue));
    assert_false(rooms__redis_queue_answered(&queue, &record));
    struct rooms__redis_sent sent = rooms__redis_queue_wrote(&queue, 2);
    assert_int_equal(sent.posts, 0);
    assert_waits(&queue, "eask");
    assert_int_equal(rooms__redis_queue_size(&queue), 6);
    sent = rooms__redis_queue_wrote(&queue, 4);
    assert_int_equal(sent.posts, 1);
    assert_int_equal(sent.bytes, 3);
    assert_true(rooms__redis_queue_answered(&queue, &record));
    assert_int_equal(record.kind, ROOMS__RECORD_POST);
    assert_int_equal(rooms__redis_queue_peek(&queue)->kind, ROOMS__RECORD_ASK);
    assert_true(rooms__redis_queue_answered(&queue, &record));
    assert_int_equal(record.kind, ROOMS__RECORD_ASK);
    assert_false(rooms__redis_queue_answered(&queue, &record));
    rooms__redis_queue_clear(&queue);
}

TEST(redis_queue, the_oldest_post_is_dropped_but_not_what_is_half_written)
{
    struct rooms__redis_queue queue = {0};
    struct rooms__redis_record record;
    add(&queue, "sent", ROOMS__RECORD_POST);
    rooms__redis_queue_wrote(&queue, 4);
    add(&queue, "half", ROOMS__RECORD_POST);
    rooms__redis_queue_wrote(&queue, 1);
    add(&queue, "ASK", ROOMS__RECORD_ASK);
    add(&queue, "first", ROOMS__RECORD_POST);
    add(&queue, "second", ROOMS__RECORD_POST);
    assert_true(rooms__redis_queue_drop(&queue));
    assert_waits(&queue, "alfASKsecond");
    assert_true(rooms__redis_queue_drop(&queue));
    assert_waits(&queue, "alfASK");
    assert_false(rooms__redis_queue_drop(&queue));
    rooms__redis_queue_wrote(&queue, 6);
    assert_true(rooms__redis_queue_answered(&queue, &record));
    assert_true(rooms__redis_queue_answered(&queue, &record));
    assert_int_equal(record.kind, ROOMS__RECORD_POST);
    assert_true(rooms__redis_queue_answered(&queue, &record));
    assert_int_equal(record.kind, ROOMS__RECORD_ASK);
    assert_false(rooms__redis_queue_answered(&queue, &record));
    rooms__redis_queue_clear(&queue);
}

TEST(redis_queue, after_a_loss_only_posts_stay_that_were_not_written_whole)
{
    struct rooms__redis_queue queue = {0};
    size_t lost = 0;
    add(&queue, "sent", ROOMS__RECORD_POST);
    add(&queue, "asked", ROOMS__RECORD_ASK);
    add(&queue, "half", ROOMS__RECORD_POST);
    add(&queue, "ask", ROOMS__RECORD_ASK);
    add(&queue, "more", ROOMS__RECORD_POST);
    rooms__redis_queue_wrote(&queue, 11);
    assert_waits(&queue, "lfaskmore");
    rooms__redis_queue_lost(&queue, count_record, &lost);
    assert_int_equal(lost, 2);
    assert_waits(&queue, "halfmore");
    assert_null(rooms__redis_queue_peek(&queue));
    rooms__redis_queue_clear(&queue);
}

/* ------------------------------------------------------------------- model */

/* Commands are "<letter><number>.": small letters for posts. The model keeps them as a list of texts. */
struct model {
    char texts[4096][16];
    bool post[4096], dropped[4096];
    size_t first, unsent, last, written;
};

static void model_lost(struct rooms__redis_queue *queue, struct model *model)
{
    size_t lost = 0, expected = 0, to = model->unsent;
    for (size_t i = model->first; i < model->unsent; i++) expected += !model->post[i] && !model->dropped[i];
    for (size_t i = model->unsent; i < model->last; i++) {
        if (!model->post[i]) {
            expected++;
            continue;
        }
        memmove(model->texts[to], model->texts[i], sizeof model->texts[i]);
        model->post[to++] = true;
    }
    model->first = model->unsent;
    model->last = to;
    model->written = 0;
    rooms__redis_queue_lost(queue, count_record, &lost);
    assert_int_equal(lost, expected);
}

static void model_drop(struct rooms__redis_queue *queue, struct model *model)
{
    size_t i = model->unsent + (model->written > 0);
    while (i < model->last && !model->post[i]) i++;
    bool there = i < model->last;
    assert_int_equal(rooms__redis_queue_drop(queue), there);
    if (!there) return;
    for (; i + 1 < model->last; i++) {
        memcpy(model->texts[i], model->texts[i + 1], sizeof model->texts[i]);
        model->post[i] = model->post[i + 1];
    }
    model->last--;
}

static void model_write(struct rooms__redis_queue *queue, struct model *model, size_t n)
{
    size_t waits = rooms__redis_queue_unwritten(queue).n;
    if (n > waits) n = waits;
    rooms__redis_queue_wrote(queue, n);
    for (model->written += n; model->unsent < model->last; model->unsent++) {
        size_t size = strlen(model->texts[model->unsent]);
        if (model->written < size) break;
        model->written -= size;
    }
}

static void model_check(struct rooms__redis_queue *queue, const struct model *model)
{
    struct rooms_bytes bytes = rooms__redis_queue_unwritten(queue);
    size_t at = 0;
    for (size_t i = model->unsent; i < model->last; i++) {
        const char *text = model->texts[i] + (i == model->unsent ? model->written : 0);
        assert_true(bytes.n - at >= strlen(text));
        assert_memory_equal(bytes.p + at, text, strlen(text));
        at += strlen(text);
    }
    assert_int_equal(at, bytes.n);
}

TEST(redis_queue, a_model_says_the_same_about_any_sequence)
{
    struct rooms__redis_queue queue = {0};
    static struct model model;
    srand(1);
    for (size_t step = 0; step < 200000; step++) {
        struct rooms__redis_record record;
        int what = rand() % 100;
        if (model.last > 4000 || what < 1) {
            model_lost(&queue, &model);
            size_t count = model.last - model.first;
            memmove(model.texts, model.texts[model.first], count * sizeof *model.texts);
            memmove(model.post, model.post + model.first, count * sizeof *model.post);
            model.first = model.unsent = 0;
            model.last = count;
            if (count > 2000) {
                rooms__redis_queue_clear(&queue);
                model = (struct model){.last = 0};
            }
        } else if (what < 50) {
            bool post = rand() % 3 > 0;
            snprintf(model.texts[model.last], sizeof *model.texts, "%c%zu.", post ? 'p' : 'A', step);
            model.post[model.last] = post;
            add(&queue, model.texts[model.last++], post ? ROOMS__RECORD_POST : ROOMS__RECORD_ASK);
        } else if (what < 75) {
            model_write(&queue, &model, (size_t)rand() % 40);
        } else if (what < 80) {
            model_drop(&queue, &model);
        } else {
            bool there = model.first < model.unsent;
            assert_int_equal(rooms__redis_queue_answered(&queue, &record), there);
            if (there) assert_int_equal(record.kind == ROOMS__RECORD_POST, model.post[model.first++]);
        }
        model_check(&queue, &model);
    }
    rooms__redis_queue_clear(&queue);
}

TEST_MAIN
