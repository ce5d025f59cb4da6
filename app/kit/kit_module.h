/* A part of the product: what it brings, in lists that the kit reads, and when it runs. app.c lists the modules. */
#ifndef KIT_MODULE_H
#define KIT_MODULE_H

#include <stddef.h>

#define KIT_MODULES_MAX 16

/* Around statements of a step that only SQLite needs, since no other engine had what they change. */
#define KIT_SQLITE_ONLY(sql) "/*sqlite*/" sql "/*end*/"

struct kit;
struct kit_metric_set;
struct kit_option_set;

struct kit_module {
    const char *name;
    const struct kit_option_set *options; /* kit_options.h; NULL: it has none */
    const struct kit_metric_set *metrics; /* kit_metrics.h, of its state, which must be there; NULL: it has none */
    /* Its part of the database: SQL, one step after another, ended by NULL. The store counts the steps of each module;
     * a change is a new step at the end, and steps that were released are never edited. NULL: it has no tables. */
    const char *const *migrations;
    /* Before the server is made, for who must stand between it and its adapters; *state is what the others get. Returns
     * 0 or a negative code. May be NULL. */
    int (*prepare)(struct kit *kit, void **state);
    /* Opens namespaces and routes. Modules start in the order of the list; what the earlier ones made is there. Returns
     * 0 or a negative code, with a line in error if it says more. */
    int (*start)(struct kit *kit, void **state, char *error, size_t error_size);
    /* SIGHUP: read again what may have changed in files. May be NULL. */
    void (*reload)(void *state);
    /* The server accepts no more clients and will end soon: begin nothing new. Not called if it ends without a drain.
     * May be NULL. */
    void (*drain)(void *state);
    /* Right before the store's queue is waited for: end timers that would put more into it. Accepts NULL. May be NULL.
     */
    void (*pause)(void *state);
    /* The store's queue has run empty and the server is gone. Accepts NULL. May be NULL. */
    void (*stop)(void *state);
};

#endif
