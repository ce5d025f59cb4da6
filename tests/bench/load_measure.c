/* Clocks, the server's memory, latencies, and the line of results. */
#include "load.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double histogram_step = 0.01;

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double clock_s(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) die("cannot read the processor time: is the server alive?");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double now_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

/* User and system time of all threads of a server. */
static double process_cpu_s(pid_t pid)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0) die("no such server: %d", (int)pid);
    return clock_s(clock);
}

double server_cpu_s(const struct load *load)
{
    double sum = 0;
    for (unsigned i = 0; i < load->options.pid_count; i++) sum += process_cpu_s(load->options.pids[i]);
    return sum;
}

uint64_t server_private_bytes(const struct load *load)
{
    char path[64], line[256];
    uint64_t sum_kib = 0, kib;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)load->options.pids[0]);
    FILE *file = fopen(path, "r");
    if (!file) die("cannot open %s", path);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Private_Clean: %lu", &kib) == 1 || sscanf(line, "Private_Dirty: %lu", &kib) == 1)
            sum_kib += kib;
    fclose(file);
    return sum_kib * 1024;
}

void measure_start(struct load *load)
{
    load->started_at = now_s();
    for (unsigned i = 0; i < load->options.pid_count; i++) load->cpu_at_start[i] = process_cpu_s(load->options.pids[i]);
    load->own_cpu_at_start = clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

void measure_print(const struct load *load, uint64_t count, const char *extra)
{
    double cpu_s = 0;
    char each[LOAD_NODES_MAX * 16] = "";
    for (unsigned i = 0; i < load->options.pid_count; i++) {
        double spent_s = process_cpu_s(load->options.pids[i]) - load->cpu_at_start[i];
        cpu_s += spent_s;
        snprintf(each + strlen(each), sizeof each - strlen(each), "%s%.4f", i ? "," : "", spent_s);
    }
    double own_cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) - load->own_cpu_at_start;
    double wall_s = now_s() - load->started_at;
    printf("{\"scenario\":\"%s\",\"unit\":\"%s\",\"clients\":%u,\"in_flight\":%u,\"count\":%lu,\"seconds\":%.3f,"
           "\"server_cpu_s\":%.4f,\"each_cpu_s\":[%s],\"per_cpu_s\":%.0f,\"per_s\":%.0f,\"server_busy\":%.3f,"
           "\"generator_busy\":%.3f%s}\n",
           load->scenario->name, load->scenario->unit, load->options.clients, load->options.in_flight, count, wall_s,
           cpu_s, each, (double)count / cpu_s, (double)count / wall_s, cpu_s / wall_s, own_cpu_s / wall_s, extra);
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

void histogram_add(struct histogram *histogram, double seconds)
{
    double slot = seconds > 1e-6 ? log(seconds * 1e6) / histogram_step : 0;
    histogram->counts[slot < HISTOGRAM_SLOTS - 1 ? (size_t)slot : HISTOGRAM_SLOTS - 1]++;
    histogram->total++;
}

double histogram_quantile_ms(const struct histogram *histogram, double quantile)
{
    uint64_t seen = 0, wanted = (uint64_t)((double)histogram->total * quantile);
    size_t slot = 0;
    while (slot < HISTOGRAM_SLOTS - 1 && (seen += histogram->counts[slot]) <= wanted) slot++;
    return exp((double)slot * histogram_step) / 1e3;
}
