import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;

import io.socket.engineio.client.Socket;
import io.socket.engineio.client.Transport;
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.URI;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import okhttp3.OkHttpClient;
import org.junit.After;
import org.junit.Before;
import org.junit.Test;
import org.junit.runner.RunWith;
import org.junit.runners.Parameterized;
import org.junit.runners.Parameterized.Parameters;

/** io.socket:engine.io-client against the conformance server's echo, over every transport, with TLS and without. */
@RunWith(Parameterized.class)
public class EngineIoTest {
    private static final int COUNT = 200;
    private static final int WINDOW = 4;
    private static final int BEATS = 4;
    private final boolean isSecure;
    private final String[] transports;
    private final BlockingQueue<Object> messages = new LinkedBlockingQueue<>();
    private Stage stage;
    private Socket socket;

    @Parameters(name = "{0} {1}")
    public static Object[][] forms() {
        return new Object[][] {{"http", "polling"}, {"http", "websocket"}, {"http", "polling,websocket"}, {"https", "polling"},
            {"https", "websocket"}, {"https", "polling,websocket"}};
    }

    public EngineIoTest(String scheme, String transports) {
        isSecure = scheme.equals("https");
        this.transports = transports.split(",");
    }

    @Before
    public void start() throws Exception {
        String[] echo = {"conformance", "--profile", "ws-echo", "--max-payload", "1000000", "--ping-interval", "300", "--ping-timeout", "3000"};
        String[] secure = new String[echo.length + 1];
        secure[0] = "--tls";
        System.arraycopy(echo, 0, secure, 1, echo.length);
        stage = new Stage(isSecure ? secure : echo);
    }

    @After
    public void stop() throws Exception {
        if (socket != null) socket.close();
        stage.close();
    }

    private OkHttpClient trusting(String certificate) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream file = new FileInputStream(certificate)) {
            store.setCertificateEntry("parley", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        return new OkHttpClient.Builder().readTimeout(1, TimeUnit.MINUTES)
                .sslSocketFactory(context.getSocketFactory(), (X509TrustManager) factory.getTrustManagers()[0]).build();
    }

    /** A socket that was collects its messages. */
    private Socket create() throws Exception {
        Socket.Options options = new Socket.Options();
        options.transports = transports;
        if (isSecure) {
            OkHttpClient client = trusting(stage.certificate);
            options.callFactory = client;
            options.webSocketFactory = client;
        }
        socket = new Socket(URI.create(stage.url), options);
        socket.on(Socket.EVENT_MESSAGE, arguments -> messages.add(arguments[0]));
        return socket;
    }

    /** What opening ends with: the last transport's name, or the error. */
    private BlockingQueue<Object> transportOf(Socket socket) {
        BlockingQueue<Object> events = new LinkedBlockingQueue<>();
        AtomicReference<String> name = new AtomicReference<>();
        socket.on(Socket.EVENT_TRANSPORT, arguments -> name.set(((Transport) arguments[0]).name));
        socket.on(Socket.EVENT_ERROR, arguments -> events.add(arguments[0]));
        if (transports.length > 1) socket.on(Socket.EVENT_UPGRADE, arguments -> events.add(((Transport) arguments[0]).name));
        else socket.on(Socket.EVENT_OPEN, arguments -> events.add(name.get()));
        return events;
    }

    private void open() throws Exception {
        BlockingQueue<Object> transport = transportOf(create());
        socket.open();
        assertEquals(transports[transports.length - 1], next(transport));
    }

    private static Object next(BlockingQueue<Object> queue) throws InterruptedException {
        Object event = queue.poll(Client.WAIT_S, TimeUnit.SECONDS);
        assertNotNull("in time", event);
        return event;
    }

    @Test
    public void textComesBackInOrder() throws Exception {
        open();
        for (int i = 0; i < COUNT; i++) socket.send(i + " cash money €€€ 🦔 \n\"");
        for (int i = 0; i < COUNT; i++) assertEquals(i + " cash money €€€ 🦔 \n\"", next(messages));
    }

    @Test
    public void binaryComesBack() throws Exception {
        open();
        for (int size : new int[] {0, 1, 2, 3, 56, 57, 58, 114, 115, 1000, 700_000}) {
            byte[] bytes = new byte[size];
            new Random(size).nextBytes(bytes);
            socket.send("before " + size);
            socket.send(bytes);
            assertEquals("before " + size, next(messages));
            assertArrayEquals(bytes, (byte[]) next(messages));
        }
    }

    @Test
    public void nothingIsLostOrTurnedAroundWhileItOpensAndUpgrades() throws Exception {
        BlockingQueue<Object> transport = transportOf(create());
        socket.on(Socket.EVENT_MESSAGE, arguments -> {
            int number = Integer.parseInt((String) arguments[0]);
            if (number + WINDOW < COUNT) socket.send(Integer.toString(number + WINDOW));
        });
        socket.open();
        for (int i = 0; i < WINDOW; i++) socket.send(Integer.toString(i));
        for (int i = 0; i < COUNT; i++) assertEquals(Integer.toString(i), next(messages));
        assertEquals(transports[transports.length - 1], next(transport));
    }

    @Test
    public void theHeartbeatKeepsItOpen() throws Exception {
        open();
        BlockingQueue<Object> beats = new LinkedBlockingQueue<>();
        socket.on(Socket.EVENT_HEARTBEAT, arguments -> beats.add("heartbeat"));
        socket.on(Socket.EVENT_CLOSE, arguments -> beats.add("close"));
        for (int i = 0; i < BEATS; i++) assertEquals("heartbeat", next(beats));
    }

    /** Over polling at once, over a WebSocket when the pings stay away. */
    @Test
    public void theServersEndIsNoticed() throws Exception {
        open();
        BlockingQueue<Object> reasons = new LinkedBlockingQueue<>();
        socket.on(Socket.EVENT_CLOSE, arguments -> reasons.add(arguments[0]));
        stage.down();
        next(reasons);
        stage.up();
    }
}
