/* Tunnels while allocations fail: a connection may be refused or lost, nothing else. */
#include "failing_malloc.h"

#define MAILBOX_MALLOC __real_malloc
#include "tunnel_nodes.h"

static struct tunnel_nodes nodes;

/* From the request on, one allocation fails, or some in a row. */
static void talk(void)
{
    struct client client;
    char sid[SID_CHARS + 1];
    size_t failing = fail_at;
    fail_at = 0;
    tunnel_nodes_start(&nodes);
    open_session(&nodes, sid);
    connect_to(&client, &nodes, 1);
    settle(&nodes);
    allocations = failed = 0;
    fail_at = failing;
    ask_upgrade(&client, sid);
    settle(&nodes);
    say(&client, "2probe");
    say(&client, "5");
    settle(&nodes);
    struct eio_session *session = eio_server_find(sio_server_engine(nodes.node[0].io), sid, SID_CHARS);
    for (int i = 0; session && i < 100; i++) {
        uint8_t *out = eio_session_reserve(session, EIO_TEXT, 60000);
        if (out) memset(out, 'b', 60000);
    }
    settle(&nodes);
    pass(&nodes, 6000);
    fail_at = 0;
    client_close(&client);
    pass(&nodes, 130000);
    assert_int_equal(stats_of(&nodes.node[0]).tunnels + stats_of(&nodes.node[1]).tunnels, 0);
    tunnel_nodes_stop(&nodes);
    fail_at = failing;
}

static void talk_with_failures(size_t in_a_row)
{
    fail_count = in_a_row;
    fail_at = 1;
    do {
        talk();
        fail_at++;
    } while (failed);
    fail_at = 0;
    fail_count = 1;
}

TEST(tunnel_memory, one_allocation_fails)
{
    talk_with_failures(1);
}

TEST(tunnel_memory, some_fail_in_a_row)
{
    talk_with_failures(3);
}

TEST_MAIN
