import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotEquals;

import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.After;
import org.junit.AfterClass;
import org.junit.BeforeClass;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.Parameterized;
import org.junit.runners.Parameterized.Parameters;

/** io.socket:socket.io-client against the conformance server's profile app, over every transport. */
@RunWith(Parameterized.class)
public class SocketIoTest {
    private static final int COUNT = 300;
    private static final int LARGE_BYTES = 5_000_000;
    private static Stage stage;
    private final String[] transports;
    private final List<Client> open = new ArrayList<>();

    @Parameters(name = "{0}")
    public static Object[] transports() {
        return new Object[] {"polling", "websocket", "polling,websocket"};
    }

    public SocketIoTest(String transports) {
        this.transports = transports.split(",");
    }

    @BeforeClass
    public static void start() throws Exception {
        stage = new Stage("conformance", "--profile", "app", "--max-payload", "20000000");
    }

    @AfterClass
    public static void stop() throws Exception {
        stage.close();
    }

    @After
    public void closeClients() {
        for (Client client : open) client.close();
    }

    private IO.Options options() {
        return IO.Options.builder().setTransports(transports).setReconnectionDelay(50).setReconnectionDelayMax(200).build();
    }

    private Client connect(String address, IO.Options options, String... names) {
        String url = address.startsWith("/") ? stage.url + address : address;
        Client client = new Client(url, options, names);
        open.add(client);
        return client;
    }

    private Client connect(String... names) throws Exception {
        Client client = connect("/", options(), names);
        client.expect(Socket.EVENT_CONNECT);
        return client;
    }

    private static byte[] bytes(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return bytes;
    }

    @Test
    public void connectsWithAnIdAuthAndQuery() throws Exception {
        IO.Options options = options();
        options.auth = Collections.singletonMap("user", "ü");
        options.query = "a=1%202";
        Client client = connect("/", options);
        client.expect(Socket.EVENT_CONNECT);
        JSONObject me = (JSONObject) client.call("whoami")[0];
        assertEquals(client.socket.id(), me.getString("id"));
        assertEquals("ü", me.getJSONObject("auth").getString("user"));
        assertEquals("1 2", me.getJSONObject("query").getString("a"));
    }

    @Test
    public void namespacesShareAConnection() throws Exception {
        Client main = connect();
        Client custom = connect("/custom", options());
        custom.expect(Socket.EVENT_CONNECT);
        assertEquals("/custom", ((JSONObject) custom.call("whoami")[0]).getString("nsp"));
        assertEquals("/", ((JSONObject) main.call("whoami")[0]).getString("nsp"));
    }

    @Test
    public void isRefusedWithData() throws Exception {
        IO.Options options = options();
        options.auth = Collections.singletonMap("token", "wrong");
        JSONObject error = (JSONObject) connect("/auth", options).expect(Socket.EVENT_CONNECT_ERROR)[0];
        assertEquals("not authorized", error.getString("message"));
        assertEquals(401, error.getJSONObject("data").getInt("code"));
        options = options();
        options.auth = Collections.singletonMap("token", "abc");
        connect("/auth", options).expect(Socket.EVENT_CONNECT);
    }

    @Test
    public void isRefusedAnUnknownNamespace() throws Exception {
        JSONObject error = (JSONObject) connect("/nowhere", options()).expect(Socket.EVENT_CONNECT_ERROR)[0];
        assertEquals("Invalid namespace", error.getString("message"));
    }

    @Test
    public void textIsEchoedAndAcknowledged() throws Exception {
        Client client = connect("echo-back");
        for (Object value : new Object[] {"", "Ä てすと 🦔", 7, -1.5, true, "x".repeat(300_000)}) {
            assertArrayEquals(new Object[] {value}, client.call("echo", value));
            client.socket.emit("echo", value, 1);
            assertArrayEquals(new Object[] {value, 1}, client.expect("echo-back"));
        }
        Object[] answer = client.call("echo", new JSONObject("{\"a\":[1,{\"b\":null}]}"), new JSONArray("[[],{}]"));
        assertEquals("{\"a\":[1,{\"b\":null}]}", answer[0].toString());
        assertEquals("[[],{}]", answer[1].toString());
    }

    /** Android's and Java's base64 has a line feed after 76 characters and at the end. */
    @Test
    public void binaryIsEchoedAndAcknowledged() throws Exception {
        Client client = connect("echo-back");
        for (int size : new int[] {0, 1, 2, 3, 5, 56, 57, 58, 200, 4096, 100_000}) {
            assertArrayEquals(bytes(size), (byte[]) client.call("echo", bytes(size))[0]);
            client.socket.emit("echo", "before", bytes(size));
            assertArrayEquals(bytes(size), (byte[]) client.expect("echo-back")[1]);
        }
        JSONObject nested = new JSONObject().put("one", bytes(10)).put("two", new JSONArray(Arrays.asList(bytes(77), "x")));
        JSONObject answer = (JSONObject) client.call("echo", nested)[0];
        assertArrayEquals(bytes(10), (byte[]) answer.get("one"));
        assertArrayEquals(bytes(77), (byte[]) answer.getJSONArray("two").get(0));
    }

    @Test
    public void fiveMegabytesGoBothWays() throws Exception {
        Client client = connect();
        String text = "é" + "y".repeat(LARGE_BYTES);
        assertEquals(text, client.call("echo", text)[0]);
        assertArrayEquals(bytes(LARGE_BYTES), (byte[]) client.call("echo", bytes(LARGE_BYTES))[0]);
    }

    @Test
    public void eventsComeInOrder() throws Exception {
        Client client = connect("tick");
        client.socket.emit("push", COUNT, "tick");
        for (int i = 0; i < COUNT; i++) assertEquals(i, client.expect("tick")[0]);
    }

    @Test
    public void callsInFlightAreAnsweredApart() throws Exception {
        Client client = connect();
        BlockingQueue<Object[]> answers = new LinkedBlockingQueue<>();
        for (int i = 0; i < COUNT; i++) client.socket.emit("echo", new Object[] {i}, (Ack) answers::add);
        for (int i = 0; i < COUNT; i++) {
            assertEquals(i, answers.poll(Client.WAIT_S, TimeUnit.SECONDS)[0]);
        }
    }

    @Test
    public void theServerAsks() throws Exception {
        Client client = connect();
        client.socket.on("question", arguments -> ((Ack) arguments[arguments.length - 1]).call("got " + arguments[0]));
        client.socket.on("bytes", arguments -> ((Ack) arguments[arguments.length - 1]).call(arguments[0]));
        assertEquals("got 41", ((JSONObject) client.call("ask", "question", 41)[0]).getString("answer"));
        JSONObject answer = (JSONObject) client.call("ask", "bytes", bytes(200))[0];
        assertArrayEquals(bytes(200), (byte[]) answer.get("answer"));
        client.socket.on("silent", arguments -> { });
        assertEquals("timeout", ((JSONObject) client.call("ask", "silent", 1)[0]).getString("error"));
    }

    @Test
    public void broadcastsReachTheRoom() throws Exception {
        Client one = connect("news");
        Client two = connect("news");
        String room = "java " + Arrays.toString(transports);
        assertEquals("ok", two.call("join", room)[0]);
        JSONObject message = new JSONObject().put("to", room).put("ev", "news").put("args", new JSONArray(Arrays.asList(bytes(99))));
        assertEquals("ok", one.call("broadcast", message)[0]);
        assertArrayEquals(bytes(99), (byte[]) two.expect("news")[0]);
    }

    @Test
    public void theServerDisconnects() throws Exception {
        Client client = connect();
        client.socket.emit("bye", true);
        assertEquals("io server disconnect", client.expect(Socket.EVENT_DISCONNECT)[0]);
        client.socket.connect(); // the transport may still be ending
        client.await(Socket.EVENT_CONNECT);
    }

    /** Java passes over the close frame of a WebSocket: there it takes the absence of pings to notice. */
    @Test
    public void comesBackWhenTheTransportDrops() throws Exception {
        try (Stage own = new Stage("conformance", "--profile", "app", "--ping-interval", "500", "--ping-timeout", "1500")) {
            Client client = connect(own.url, options());
            client.expect(Socket.EVENT_CONNECT);
            String id = client.socket.id();
            client.socket.emit("drop-transport");
            client.expect(Socket.EVENT_DISCONNECT);
            client.await(Socket.EVENT_CONNECT);
            assertNotEquals(id, client.socket.id());
            assertEquals(1, client.call("echo", 1)[0]);
            client.close();
        }
    }

    @Test
    public void comesBackAfterARestart() throws Exception {
        try (Stage own = new Stage("conformance", "--profile", "app", "--ping-interval", "500", "--ping-timeout", "1500")) {
            Client client = connect(own.url, options(), "echo-back");
            client.expect(Socket.EVENT_CONNECT);
            client.call("echo", 1);
            own.down();
            client.expect(Socket.EVENT_DISCONNECT);
            client.socket.emit("echo", "said while it was away");
            own.up();
            client.await(Socket.EVENT_CONNECT);
            assertEquals("said while it was away", client.await("echo-back")[0]);
            client.close();
        }
    }
}
