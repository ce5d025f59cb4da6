/* What is sent without waiting for an answer: notifications, answers to a server's requests, the end of a session. */
#include "mcp_int.h"

#include <stdlib.h>

#define POST_TIMEOUT_MS 30000
#define POST_MAX_BYTES 65536

static void free_post(struct mcp_post *post)
{
    struct mcp_post **link = &post->mcp->posts;
    while (*link != post) link = &(*link)->next;
    *link = post->next;
    free(post);
}

static void on_posted(void *ctx, const struct kit_fetch_result *result)
{
    struct mcp_post *post = ctx;
    void (*on_done)(void *ctx, int status) = post->on_done;
    void *done_ctx = post->ctx;
    int status = result->error ? 0 : result->status;
    free_post(post);
    if (on_done) on_done(done_ctx, status);
}

static bool start_post(struct mcp_session *session, struct mcp_post *post, const char *text)
{
    struct mcp *mcp = session->server->mcp;
    char **headers = mcp_http_headers(session, NULL);
    const struct kit_fetch_options options = {.url = session->server->config.url,
                                              .method = text ? NULL : "DELETE",
                                              .headers = (const char *const *)headers,
                                              .body = text ? eio_str(text) : (struct eio_str){NULL, 0},
                                              .max_bytes = POST_MAX_BYTES,
                                              .timeout_ms = POST_TIMEOUT_MS,
                                              .only_public = !session->server->config.is_private,
                                              .on_done = on_posted,
                                              .ctx = post};
    post->fetch = headers ? kit_fetch_start(mcp->fetcher, &options) : NULL;
    mcp_strings_free(headers);
    return post->fetch != NULL;
}

static void send_post(struct mcp_session *session, const char *text, void (*on_done)(void *ctx, int status), void *ctx)
{
    struct mcp *mcp = session->server->mcp;
    struct mcp_post *post = calloc(1, sizeof *post);
    if (!post) return;
    *post = (struct mcp_post){mcp->posts, mcp, NULL, on_done, ctx};
    mcp->posts = post;
    if (!start_post(session, post, text)) free_post(post);
}

void mcp_post_send(struct mcp_session *session, char *take_text, void (*on_done)(void *ctx, int status), void *ctx)
{
    if (take_text) send_post(session, take_text, on_done, ctx);
    free(take_text);
}

void mcp_post_delete(struct mcp_session *session)
{
    if (session->id && session->state == MCP_S_READY) send_post(session, NULL, NULL, NULL);
}

void mcp_posts_forget(struct mcp *mcp, const void *ctx)
{
    for (struct mcp_post *post = mcp->posts; post; post = post->next)
        if (post->ctx == ctx) post->on_done = NULL;
}

void mcp_posts_cancel(struct mcp *mcp)
{
    while (mcp->posts) {
        kit_fetch_cancel(mcp->posts->fetch);
        free_post(mcp->posts);
    }
}
