/* GET /metrics: numbers in the Prometheus text format 0.0.4, as rows of a table. The kit has some and each module its
 * own:
 *
 *     #define KIT_NUMBERS struct greet
 *     static const struct kit_metric rows[] = {
 *         KIT_COUNTER_ROW("greetings_total", greeted, "Greetings sent."),
 *     };
 *     const struct kit_metric_set greet_metrics = KIT_METRIC_SET(rows, NULL);
 *
 * where struct greet is the module's state and has a uint64_t greeted. */
#ifndef KIT_METRICS_H
#define KIT_METRICS_H

#include "kit.h"

enum kit_metric_kind { KIT_COUNTER, KIT_GAUGE, KIT_HISTOGRAM };

struct kit_metric {
    const char
        *name; /* without "parley_"; one that begins with "process_" is of any program's and gets no such prefix */
    enum kit_metric_kind kind;
    size_t offset, width; /* of the number, or of the first of several, in the struct of numbers; unsigned */
    const char *help;
    uint32_t per_second; /* a duration: its units in a second, in which it is shown; 0: the number itself */
    /* Several of them, one for each value of a label. Rows of one name in several sets are one family. A histogram's
     * label is "le": how many were at most so large, the largest bound last, then their sum. */
    unsigned count; /* 0: one number without a label */
    const char *label;
    void (*value)(unsigned i, char *out, size_t size);
};

struct kit_metric_set {
    const struct kit_metric *list;
    size_t count;
    size_t size;                            /* of the struct of numbers; at most KIT_NUMBERS_MAX */
    void (*read)(void *ctx, void *numbers); /* fills in the struct, which is zero; NULL: it is ctx itself */
};
#define KIT_NUMBERS_MAX 4096
#define KIT_METRIC_SET(rows, read)                                      \
    {                                                                   \
        rows, sizeof(rows) / sizeof(rows)[0], sizeof(KIT_NUMBERS), read \
    }

#define KIT_METRIC_ROW(name, kind, field, help, per_second)                                           \
    {                                                                                                 \
        name, kind, offsetof(KIT_NUMBERS, field), sizeof(((KIT_NUMBERS *)0)->field), help, per_second \
    }
#define KIT_COUNTER_ROW(name, field, help) KIT_METRIC_ROW(name, KIT_COUNTER, field, help, 0)
#define KIT_GAUGE_ROW(name, field, help) KIT_METRIC_ROW(name, KIT_GAUGE, field, help, 0)
#define KIT_COUNTER_US_ROW(name, field, help) KIT_METRIC_ROW(name, KIT_COUNTER, field, help, 1000000)
#define KIT_GAUGE_US_ROW(name, field, help) KIT_METRIC_ROW(name, KIT_GAUGE, field, help, 1000000)
#define KIT_GAUGE_MS_ROW(name, field, help) KIT_METRIC_ROW(name, KIT_GAUGE, field, help, 1000)
/* field: an array of at least count. */
#define KIT_LABELLED_ROW(name, kind, field, help, count, label, value)                                               \
    {                                                                                                                \
        name, kind, offsetof(KIT_NUMBERS, field), sizeof(((KIT_NUMBERS *)0)->field[0]), help, 0, count, label, value \
    }
/* field: an array of count + 1 in which the sum, in microseconds, comes last. */
#define KIT_HISTOGRAM_ROW(name, field, help, count, value) \
    KIT_LABELLED_ROW(name, KIT_HISTOGRAM, field, help, count, "le", value)

/* Adds rows, for as long as the kit. ctx: what their read gets; NULL with a read that accepts it. The same ones in the
 * same order in all workers, which find each other's numbers by it. Returns 0, EIO_ETOOBIG or, if ctx has to be there,
 * EIO_EINVAL. */
int kit_metrics_add(struct kit *kit, const struct kit_metric_set *set, void *ctx);

/* Opens the route and adds the libraries' and the kit's numbers. */
int kit_metrics_start(struct kit *kit);
/* Puts this process's numbers into its page. */
void kit_metrics_publish(struct kit *kit, struct kit_process_page *page);
/* For kit_metrics_own.c alone. */
int kit_metrics_add_own(struct kit *kit);

#endif
