/* Sends a message that nobody wrote: memcheck must complain, or its silence about the others says nothing. */
#include "eio_test.h"

#include <unistd.h>

int main(void)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio_server *server = loop ? eio_server_new(loop, NULL, NULL, NULL) : NULL;
    int fd;
    struct eio_session *session = server ? eio__test_websocket(server, &fd) : NULL;
    if (!session) return 1;
    if (!eio_session_reserve(session, EIO_BINARY, 5000)) return 1;
    eio_loop_turn(loop, 0);
    close(fd);
    eio_server_free(server);
    eio_loop_free(loop);
    return 0;
}
