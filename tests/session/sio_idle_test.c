/* What a client costs that is connected, in a room, and says nothing. */
#include "sio_fixture.h"

#include <malloc.h>

enum { CLIENTS = 200, BYTES_MAX = 830 };

/* Of the sanitizer's allocator, where that is linked. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t allocated(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : mallinfo2().uordblks;
}

static void join_room(struct sio_socket *socket, void *ctx)
{
    (void)ctx;
    sio_join(socket, eio_str("lobby"));
}

static void open_clients(struct talk *talk, int *fds)
{
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(talk);
        assert_memory_equal(client_say(talk, fds[i], "40"), "1:40{\"sid\":\"", 12);
    }
}

static void an_idle_client_costs_little(void **state)
{
    (void)state;
    struct talk talk;
    int fds[CLIENTS];
    talk_init(&talk);
    talk_start(&talk);
    sio_on_connection(talk.root, join_room, NULL);
    size_t before = allocated();
    open_clients(&talk, fds);
    for (int i = 0; i < 600; i++) talk_turn(&talk); /* what the opening needed is freed */
    size_t each = (allocated() - before) / CLIENTS;
    print_message("%zu bytes\n", each);
    assert_true(each <= BYTES_MAX);
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    talk_turn(&talk);
    talk_clear(&talk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_idle_client_costs_little)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
