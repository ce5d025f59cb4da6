/* Surveys: sio_emit_to_all_with_ack(). Collects what the adapter's sink gets until all have answered or the time is *
 * up. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

struct sio__survey {
    struct sio_server *io;
    struct sio__survey *prev, *next;
    struct eio_timer timer;
    sio_answers_fn fn;
    void *ctx;
    struct sio_builder answers;
    uint8_t **copies; /* of attachments, which the builder only borrows */
    size_t copy_count;
    size_t expected, arrived;
    bool counted; /* all servers have reported how many they expect */
    bool done;    /* fn was called; what comes later is dropped */
};

static void clear_answers(struct sio__survey *survey)
{
    sio_builder_clear(&survey->answers);
    for (size_t i = 0; i < survey->copy_count; i++) free(survey->copies[i]);
    free(survey->copies);
    survey->copies = NULL;
    survey->copy_count = 0;
}

static void survey_free(struct sio__survey *survey)
{
    clear_answers(survey);
    eio_timer_stop(&survey->timer);
    if (survey->prev)
        survey->prev->next = survey->next;
    else
        survey->io->surveys = survey->next;
    if (survey->next) survey->next->prev = survey->prev;
    free(survey);
}

void sio__surveys_free(struct sio_server *io)
{
    while (io->surveys) {
        struct sio__survey *survey = io->surveys;
        /* The asker may own something that only this call frees. */
        if (!survey->done) survey->fn(survey->ctx, EIO_ECLOSED, sio_builder_args(&survey->answers));
        survey_free(survey);
    }
}

/* An adapter may still hold the sink: it stays for a while, deaf. */
static void linger(struct sio__survey *survey)
{
    survey->done = true;
    clear_answers(survey);
    eio_timer_start(&survey->timer, SIO__SURVEY_LINGER_MS);
}

static void on_timer(void *ctx)
{
    struct sio__survey *survey = ctx;
    if (survey->done) {
        survey_free(survey);
        return;
    }
    survey->done = true;
    survey->fn(survey->ctx, EIO_EAGAIN, sio_builder_args(&survey->answers));
    linger(survey);
}

static void check_complete(struct sio__survey *survey)
{
    if (survey->done || !survey->counted || survey->arrived < survey->expected) return;
    survey->done = true;
    eio_timer_stop(&survey->timer);
    survey->fn(survey->ctx, survey->answers.error, sio_builder_args(&survey->answers));
    survey_free(survey);
}

static void on_clients(void *ctx, size_t count)
{
    struct sio__survey *survey = ctx;
    survey->expected += count;
    check_complete(survey);
}

static void on_counted(void *ctx)
{
    struct sio__survey *survey = ctx;
    survey->counted = true;
    check_complete(survey);
}

/* The answer's attachments, copied: they outlive the answer. False: out of memory. */
static bool copy_attachments(struct sio__survey *survey, struct sio_args *args, struct rooms_bytes *copied)
{
    size_t count = args->attachment_count;
    uint8_t **copies = realloc(survey->copies, (survey->copy_count + count) * sizeof(uint8_t *));
    if (!copies) return false;
    survey->copies = copies;
    for (size_t i = 0; i < count; i++) {
        size_t n = args->attachments[i].n;
        uint8_t *copy = malloc(n ? n : 1);
        if (!copy) return false;
        if (n) memcpy(copy, args->attachments[i].p, n);
        copies[survey->copy_count++] = copy;
        copied[i] = (struct rooms_bytes){copy, n};
    }
    args->attachments = copied;
    return true;
}

static void add_answer(struct sio__survey *survey, struct sio_args args)
{
    struct eio_str first = sio_args_at(args, 0);
    if (first.n == 0) {
        sio_builder_null(&survey->answers);
    } else if (args.attachment_count == 0) {
        sio_builder_raw(&survey->answers, first);
    } else {
        struct rooms_bytes *copied = calloc(args.attachment_count, sizeof *copied);
        if (copied && copy_attachments(survey, &args, copied))
            sio_builder_slice(&survey->answers, args, first);
        else
            survey->answers.error = EIO_ENOMEM;
        free(copied);
    }
}

static void on_ack(void *ctx, const struct rooms_message *answer)
{
    struct sio__survey *survey = ctx;
    if (survey->done) return;
    add_answer(survey, sio__args_of_message(answer));
    survey->arrived++;
    check_complete(survey);
}

static struct sio__survey *survey_new(struct sio_server *io, uint32_t timeout_ms, sio_answers_fn fn, void *ctx)
{
    struct sio__survey *survey = calloc(1, sizeof *survey);
    if (!survey) return NULL;
    survey->io = io;
    survey->fn = fn;
    survey->ctx = ctx;
    sio_builder_init(&survey->answers);
    eio_timer_init(&survey->timer, io->loop, on_timer, survey);
    survey->next = io->surveys;
    if (survey->next) survey->next->prev = survey;
    io->surveys = survey;
    if (eio_timer_start(&survey->timer, timeout_ms) == 0) return survey;
    survey_free(survey);
    return NULL;
}

static int start(struct sio_target *target, struct sio__prepared *prepared, struct sio__survey *survey)
{
    struct rooms_adapter *adapter = target->nsp->adapter;
    struct rooms_ack_sink sink = {on_clients, on_counted, on_ack, survey};
    struct rooms_message message = sio__prepared_message(prepared);
    struct sio__who who;
    int result = sio__who_init(&who, target);
    if (result != 0) return result;
    result =
        sio__rooms_result(adapter->ops->broadcast_with_ack(adapter, &who.selector, &target->flags, &message, &sink));
    sio__who_clear(&who);
    return result;
}

int sio_emit_to_all_with_ack(struct sio_target target, const char *event, struct sio_args args, sio_answers_fn fn,
                             void *ctx)
{
    struct sio__outgoing packet = {.type = SIO__EVENT, .has_id = true, .name = eio_str(event)};
    struct sio__prepared prepared;
    if (target.error) return target.error;
    if (!target.nsp->index || !fn || sio__name_is_reserved(packet.name)) return EIO_EINVAL;
    packet.nsp = (struct eio_str){target.nsp->name, target.nsp->name_size};
    packet.id = target.nsp->next_ack_id++;
    int result = sio__prepare(&prepared, target.nsp->io->parser, &packet, args);
    if (result != 0) return result;
    sio__prepared_set_compress(&prepared, target.flags.compress);
    if (target.flags.timeout_ms == 0) target.flags.timeout_ms = 1; /* the reference's setTimeout(undefined) */
    struct sio__survey *survey = survey_new(target.nsp->io, target.flags.timeout_ms, fn, ctx);
    result = survey ? 0 : EIO_ENOMEM;
    target.nsp->io->stats.emits++;
    /* When start() succeeds the survey may be over and gone already. */
    if (survey) result = start(&target, &prepared, survey);
    if (survey && result != 0) linger(survey);
    sio__prepared_clear(&prepared);
    return result;
}
