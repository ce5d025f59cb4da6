/* Questions: a client asks for a namespace that is not there, and functions of the application decide, one parent after
 * the other, each now or later (the reference's `of` with a function). */
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- lists */

static uint32_t hash_of(const struct sio_client *client)
{
    return sio__hash(&client, sizeof client);
}

/* The next of the client's, or NULL. */
static struct sio_question *next_of(const struct sio_client *client, size_t *at)
{
    const struct base_table *table = &client->io->asking;
    struct sio_question *question = base_table_next(table, hash_of(client), at);
    while (question && question->client != client) question = base_table_next(table, hash_of(client), at);
    return question;
}

static struct sio_question *first_of(const struct sio_client *client, size_t *at)
{
    struct sio_question *question = base_table_first(&client->io->asking, hash_of(client), at);
    return !question || question->client == client ? question : next_of(client, at);
}

static struct sio_question *question_new(struct sio_client *client, struct eio_str name, struct eio_str auth)
{
    struct sio_question *question = calloc(1, sizeof *question + name.n + auth.n);
    struct sio_server *io = client->io;
    if (!question || base_table_add(&io->asking, hash_of(client), question) != BASE_OK) {
        free(question);
        return NULL;
    }
    question->io = io;
    question->parent = io->parents;
    question->name_size = name.n;
    question->auth_size = auth.n;
    memcpy(question->text, name.p, name.n);
    if (auth.n) memcpy(question->text + name.n, auth.p, auth.n);

    question->next = io->questions;
    if (question->next) question->next->prev = question;
    io->questions = question;

    question->client = client;
    client->admission_count++;
    return question;
}

static void leave_client(struct sio_question *question)
{
    struct sio_client *client = question->client;
    if (!client) return;
    base_table_remove(&question->io->asking, hash_of(client), question);
    client->admission_count--;
    question->client = NULL;
}

static void question_free(struct sio_question *question)
{
    leave_client(question);
    *(question->prev ? &question->prev->next : &question->io->questions) = question->next;
    if (question->next) question->next->prev = question->prev;
    free(question);
}

void sio__question_forget_client(struct sio_client *client)
{
    size_t at;
    for (struct sio_question *each; (each = first_of(client, &at)) != NULL;) leave_client(each);
}

void sio__questions_free(struct sio_server *io)
{
    while (io->questions) question_free(io->questions);
    base_table_clear(&io->asking);
}

/* ------------------------------------------------------------------- steps */

static struct eio_str name_of(const struct sio_question *question)
{
    return (struct eio_str){question->text, question->name_size};
}

/* Whether somebody still wants to know. */
static bool is_wanted(const struct sio_question *question)
{
    return question->client && !question->client->closing && !question->superseded;
}

/* Allowed by its parent, or refused by all (parent NULL). Frees it. */
static void settle(struct sio_question *question)
{
    struct sio_client *client = question->client;
    struct sio_server *io = question->io;
    struct eio_str auth = {question->text + question->name_size, question->auth_size};
    struct sio_namespace *nsp = NULL;
    if (is_wanted(question)) {
        leave_client(question); /* a place of its own is what it gets now */
        /* Made for another client meanwhile, perhaps. */
        if (!io->draining && question->parent) nsp = sio__namespace_find(io, name_of(question));
        if (!io->draining && question->parent && !nsp) nsp = sio__namespace_make(question->parent, name_of(question));
        question->join(client, nsp, name_of(question), auth);
    }
    question_free(question);
}

/* One that only looks at the name answers at once. False: the answer comes later. */
static bool ask_parent(struct sio_question *question)
{
    struct sio_namespace *parent = question->parent;
    struct eio_str auth = {question->text + question->name_size, question->auth_size};
    if (parent->match) {
        question->allowed = parent->match(name_of(question), parent->match_ctx);
        return true;
    }
    question->answered = question->allowed = false;
    question->running = true;
    parent->decide(question, name_of(question), auth.n ? auth : eio_str("{}"), parent->match_ctx);
    question->running = false;
    return question->answered;
}

static void ask_parents(struct sio_question *question)
{
    while (question->parent && is_wanted(question)) {
        if (!ask_parent(question)) return;
        if (question->allowed) break;
        question->parent = question->parent->next;
    }
    settle(question);
}

void sio_decide(struct sio_question *question, bool allowed)
{
    question->answered = true;
    question->allowed = allowed;
    if (question->running) return;
    if (allowed) {
        settle(question);
        return;
    }
    question->parent = question->parent->next;
    ask_parents(question);
}

/* A client that asks again while it waits is answered once, the later time. */
void sio__question_supersede(struct sio_client *client, struct eio_str name)
{
    size_t at;
    for (struct sio_question *each = first_of(client, &at); each; each = next_of(client, &at))
        if (each->name_size == name.n && memcmp(each->text, name.p, name.n) == 0) each->superseded = true;
}

void sio__question_start(struct sio_client *client, struct eio_str name, struct eio_str auth, sio__join_fn join)
{
    struct sio_question *question = question_new(client, name, auth);
    if (!question) {
        join(client, NULL, name, auth);
        return;
    }
    question->join = join;
    ask_parents(question);
}
