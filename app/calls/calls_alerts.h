/* Alerts: rules in the store, and what they fire on. */
#ifndef CALLS_ALERTS_H
#define CALLS_ALERTS_H

#include "calls_int.h"

#define CALLS_RULES_MAX 200

struct calls_alerts;
struct calls_record;

/* One that fired and is stored, to be sent. */
struct calls_alert {
    struct calls_alert *next;
    char call_id[KIT_ID_SIZE];
    char *agents; /* the call's own list, as JSON */
    struct sio_builder json;
};
/* Accepts NULL; all behind it, too. */
void calls_alerts_free(struct calls_alert *alerts);
/* They are durable: to who watches the call, and to supervisors who may see it. On the loop. */
void calls_alerts_send(struct calls *calls, const struct calls_alert *alerts);

/* A final line was stored: its alerts, in its operation. Returns 0 or the code of failure. */
int calls_alerts_line(struct calls_alerts *alerts, struct kit_db *db, struct calls_record *record,
                      struct kit_failure *failure);
/* Reads the rules anew if they changed, and fires those whose time is up at now_ms (Unix time). Every second by
 * itself. */
void calls_alerts_look(struct calls *calls, int64_t now_ms);

/* Opens the file of rules and the paths for them. Returns 0 or a negative code with a line in error. */
int calls_alerts_open(struct calls *calls, char *error, size_t error_size);
/* The file of rules is read anew; what is wrong with it is logged, and the rules stay. */
void calls_alerts_reload(struct calls *calls);
/* Nothing is looked at any more by itself. */
void calls_alerts_drain(struct calls *calls);
void calls_alerts_close(struct calls *calls);

/* calls_rules_store.c, for calls_alerts_open(): the paths, and the rules of the file, to be submitted once the server
 * runs. */
int calls_rules_open(struct calls *calls, json_t **rules, char *error, size_t error_size);
int calls_rules_submit(struct calls *calls, json_t *take_rules);

#endif
