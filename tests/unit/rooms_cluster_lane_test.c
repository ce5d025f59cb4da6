/* rooms_cluster_lane.c: with a log, delivery waits for the offset. */
#include "cluster_wire.h"

static void logged(size_t i, const char *offset)
{
    rooms_cluster_logged(&nodes[0]->cluster, tickets[i], (struct rooms_name){offset, strlen(offset)});
}

TEST(lane, what_is_logged_is_delivered_with_its_offset_and_in_order)
{
    logs = true;
    setup(1);
    struct rooms_flags is_volatile = {.is_volatile = true};
    struct rooms_message message = text_message("[3]");
    broadcast(0, "[1]");
    broadcast(0, "[2]");
    rooms_cluster_broadcast(adapter(0), &selector, &is_volatile, &message);
    rooms_cluster_disconnect(adapter(0), &selector, &plain, false); /* edge case 58 */
    assert_said("");
    logged(1, "2-0");
    assert_said("");
    logged(0, "1-0");
    assert_said("A deliver [1] @1-0\nA deliver [2] @2-0\nA deliver volatile +r1 +r2 -x [3]\nA disconnect +r1 +r2 -x\n");
    rooms_cluster_join(adapter(0), &selector, &plain, rooms, 1);
    assert_said("A join +r1 +r2 -x r1\n");
    teardown();
}

TEST(lane, delivery_does_not_wait_for_long)
{
    logs = true;
    setup(1);
    broadcast(0, "[1]");
    pass(500);
    broadcast(0, "[2]");
    assert_said("");
    pass(500);
    assert_said("A deliver [1]\nA deliver [2]\n");
    broadcast(0, "[3]"); /* nobody waits again */
    assert_said("A deliver [3]\n");
    assert_int_equal(stats.log_late, 1);
    logged(0, "1-0"); /* until the log answers */
    broadcast(0, "[4]");
    assert_said("");
    logged(3, "4-0");
    assert_said("A deliver [4] @4-0\n");
    teardown();
}

TEST(lane, what_cannot_be_logged_is_delivered_at_once)
{
    logs = true;
    setup(1);
    nodes[0]->is_cut = true;
    broadcast(0, "[1]");
    assert_said("A deliver [1]\n");
    nodes[0]->is_cut = false;
    broadcast(0, "[2]");
    nodes[0]->is_cut = true;
    broadcast(0, "[3]");
    assert_said("");
    logged(0, ""); /* it was not logged after all */
    assert_said("A deliver [2]\nA deliver [3]\n");
    teardown();
}

TEST(lane, what_waits_is_delivered_when_the_node_ends_or_it_is_too_much)
{
    logs = true;
    setup(1);
    broadcast(0, "[1]");
    nodes[0]->cluster.state->options.max_log_wait_bytes = nodes[0]->cluster.state->lane.bytes;
    assert_said("");
    broadcast(0, "[2]");
    assert_said("A deliver [1]\nA deliver [2]\n");
    nodes[0]->cluster.state->lane.late = false;
    broadcast(0, "[3]");
    assert_said("");
    node_free(0);
    assert_said("A deliver [3]\n");
    teardown();
}

TEST_MAIN
