import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;

import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.net.URI;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A socket whose events are waited for one by one. */
final class Client implements AutoCloseable {
    static final int WAIT_S = 60;
    final Socket socket;
    private final BlockingQueue<Object[]> events = new LinkedBlockingQueue<>();

    /** Records these events, and `connect`, `connect_error` and `disconnect`. */
    Client(String url, IO.Options options, String... names) {
        options.forceNew = true;
        socket = IO.socket(URI.create(url), options);
        for (String name : new String[] {Socket.EVENT_CONNECT, Socket.EVENT_CONNECT_ERROR, Socket.EVENT_DISCONNECT}) record(name);
        for (String name : names) record(name);
        socket.connect();
    }

    private void record(String name) {
        socket.on(name, arguments -> events.add(new Object[] {name, arguments}));
    }

    /** The arguments of the next event, which must have that name. */
    Object[] expect(String name) throws InterruptedException {
        Object[] event = events.poll(WAIT_S, TimeUnit.SECONDS);
        assertNotNull("in time: " + name, event);
        assertEquals(name, event[0]);
        return (Object[]) event[1];
    }

    /** The arguments of the next event of that name; others are passed over. */
    Object[] await(String name) throws InterruptedException {
        for (;;) {
            Object[] event = events.poll(WAIT_S, TimeUnit.SECONDS);
            assertNotNull("in time: " + name, event);
            if (name.equals(event[0])) return (Object[]) event[1];
        }
    }

    /** The arguments of the server's acknowledgement. */
    Object[] call(String event, Object... arguments) throws InterruptedException {
        BlockingQueue<Object[]> answers = new LinkedBlockingQueue<>();
        socket.emit(event, arguments, (Ack) answers::add);
        Object[] answer = answers.poll(WAIT_S, TimeUnit.SECONDS);
        assertNotNull("an acknowledgement of " + event, answer);
        return answer;
    }

    @Override
    public void close() {
        socket.disconnect();
    }
}
