/* Threads for what blocks: host names, a library's connect. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <stdbool.h>

/* Runs fn(ctx) on a detached thread that handles no signals: those are for the other threads. Returns false if no
 * thread could be started. */
bool base_thread_start(void *(*fn)(void *ctx), void *ctx);

#endif
