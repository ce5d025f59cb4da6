#include "node_service.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The address in $NOTIFY_SOCKET: a path, or with @ in front an abstract name. Returns its length, or 0 if the variable
 * is missing or has no such address. */
static socklen_t service_address(struct sockaddr_un *address)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t length = name ? strlen(name) : 0;
    if ((length == 0) || (name[0] != '/' && name[0] != '@') || length >= sizeof address->sun_path) return 0;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, length);
    if (name[0] == '@') address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void node_service_send(const char *assignments)
{
    struct sockaddr_un address;
    socklen_t length = service_address(&address);
    if (length == 0) return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    ssize_t n;
    do {
        n = sendto(fd, assignments, strlen(assignments), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    } while (n < 0 && errno == EINTR);
    close(fd);
}

void node_service_send_reloading(void)
{
    char text[64];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    node_service_send(text);
}

/* A whole number of a variable, 0 if it is missing or something else. */
static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9') return 0;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    return *end || errno ? 0 : value;
}

uint64_t node_service_watchdog_ms(void)
{
    uint64_t limit_us = number_of("WATCHDOG_USEC");
    if (limit_us == 0 || (getenv("WATCHDOG_PID") && number_of("WATCHDOG_PID") != (uint64_t)getpid())) return 0;
    return limit_us / 2000 ? limit_us / 2000 : 1;
}
