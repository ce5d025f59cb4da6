"""HTTP as RFC 9110, 9112, 3986 and 6455 have it, request by request: what a raw socket sends, and the status of the first answer. PARLEY_CONFORMANCE names the server.
What two readers could take differently is refused; what is allowed is taken."""

import json
import os
import pathlib
import re
import socket
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
SERVER = os.environ.get("PARLEY_CONFORMANCE", str(HERE.parent.parent / "build" / "asan" / "bin" / "parley-conformance"))
WAIT_S = 60
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def request(head="", target=POLLING, method="GET", host="Host: x\r\n", version="HTTP/1.1", body=""):
    return f"{method} {target} {version}\r\n{host}{head}\r\n{body}"


def refused(*texts):
    """Each alone, with 400 or a status that says more."""
    return [(text, {400, 413, 414, 431, 501, 505}) for text in texts]


def taken(*texts):
    return [(text, {200}) for text in texts]


def request_lines():
    yield from taken(request(), "\r\n" + request(), request(version="HTTP/1.0", host=""))
    yield from refused(*(f"{method} {POLLING} HTTP/1.1\r\nHost: x\r\n\r\n" for method in ("get", "GE T", "G\tET", "GET\t", "(GET", "GET:", "TRACE", "CONNECT", "FOO", "M-SEARCH", "PRI")))
    yield from refused(*(request(version=version) for version in ("HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1.10", "HTTP/01.1", "http/1.1", "HTTP/1", "HTTP/1.", "HTTP/1.1 ", "HTTP1.1", "HTP/1.1", "HTTP/1,1", "HTTP/ 1.1", "")))
    yield from refused(*(f"GET{gap}{POLLING} HTTP/1.1\r\nHost: x\r\n\r\n" for gap in ("  ", "\t", " \t", "\x0b", "\x0c")))
    yield from refused(*(f"GET {POLLING}{gap}HTTP/1.1\r\nHost: x\r\n\r\n" for gap in ("  ", "\t", "\x0b")))
    yield from refused(f" GET {POLLING} HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\n" + request())
    yield from refused(*(request(target=f"{POLLING}&a={byte}") for byte in ("\0", "\x01", "\x1f", "\x7f", "\x80", "\xff", "#a")))
    yield from refused(*(request(target=target) for target in (
        "x", "*", "?a", ":80", "x:80", "http:/x", "http:///", "http://", "http://?a", "ftp://x/", "ws://x/", "http://@/", "http://a@b/", "http://a:b@c/", "http://x:abc/", "http://x:99999/", "http://[::1/",
        "http://[g]/", "http://a b/", "http://a%zz/", "http://x#f", "http://x:80:80/", "http://[::1]80/", "http://[1.2.3.4]/", "http://[::1%25eth0]/", "http://\xe4/", "http://x\\y/")))
    yield from taken(request(target="http://x" + POLLING), request(target="HTTP://y" + POLLING), request(target="http://[::1]:" + POLLING))


def hosts():
    yield from taken(*(request(host=f"Host: {host}\r\n") for host in ("x:", "x:80", "[::1]", "[::1]:3000", "[::ffff:1.2.3.4]", "a_b", "\tx", "x\t", "1.2.3.4", "a%41", "[v1.x]", "x:080")))
    yield from refused(*(request(host=f"Host: {host}\r\n") for host in (
        "a b", "http://x", "x/", "x?", "x#", "x:abc", "x:-1", "[::1", "[]", "a%zz", "a%", "\0", "x\x7f", "a\\b", '"x"', "<x>", "[::1]x", "x:80:90", "[:::]", "[::1]:a", "\xe4", "a@b", "u:p@h", "[1.2.3.4]", "::1")))
    yield from refused(request(host=""), request(host="Host: x\r\nHost: x\r\n"), request(host="Host: x\r\nHOST: y\r\n"), request(host="Host: x\r\nhost: y\r\n", version="HTTP/1.0"), request(target="http://y" + POLLING, host=""))


def fields():
    yield from taken(*(request(f"{field}\r\n") for field in ("A:b", "A:", "A: ", "A:\t", "A: \t b \t", "A: b\tc", "A: \xe4", "!#$%&'*+-.^_`|~9: x", "A: :", "_: x", "Transfer_Encoding: chunked")))
    yield from refused(*(request(f"{field}\r\nB: c\r\n") for field in ("A : b", "A\t: b", " A: b", "\tA: b", "A b: c", "A", "A b", ": b", ":", "A:b\rc", "A: b\0", "A: b\x01", "A: b\x7f", "A: b\x0b", "A\0: b", "A\x80: b", "Transfer-Encoding : chunked")))
    yield from refused(*(request(f"A{mark}: b\r\n") for mark in '(),/;<=>?@[\\]"{}\x1b'))
    yield from refused(request("A: b\r\n c\r\n"), request("A: b\r\n\tc\r\n"), request("A: b\r\n \r\n"), f"GET {POLLING} HTTP/1.1\nHost: x\n\n", f"GET {POLLING} HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", f"GET {POLLING} HTTP/1.1\r\nHost: x\r\r\n\r\n")
    yield from refused(request("A: " + "b" * 70000 + "\r\n"), request("A: b\r\n" * 3000), request(target="/" + "a" * 70000), "A" * 70000 + " / HTTP/1.1\r\n\r\n")


def posts(head, *bodies):
    return [request(head, "@SESSION", "POST", body=body) for body in bodies]


def bodies():
    yield from refused(*(posts(f"Content-Length: {value}\r\n", "40")[0] for value in ("+2", "-2", "0x2", "2,2", "2, 2", "2,4", "", "a", "2a", "2.0", "1e1", "2 2", '"2"', "2;", "99999999999999999999", "18446744073709551618", "4294967298")))
    yield from refused(*posts("Content-Length: 2\r\nContent-Length: 2\r\n", "40"), *posts("Content-Length: 2\r\nContent-Length: 3\r\n", "40"))
    chunks = "2\r\n40\r\n0\r\n\r\n"
    yield from refused(*posts("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", chunks), *posts("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", chunks))
    yield from taken(*(posts(f"Transfer-Encoding: {coding}\r\n", chunks)[0] for coding in ("chunked", "Chunked", "CHUNKED", " chunked ", "chunked\t")))
    without = ("identity", "gzip", "chunked, gzip", "chunked, chunked", ",chunked", "chunked,", '"chunked"', "xchunked", "chunkedx", "chunked;a=b", "chunked chunked", "", "deflate", "chunked\x0b", "chunked, identity")
    yield from ((posts(f"Transfer-Encoding: {coding}\r\n", chunks)[0], {400}) for coding in without)  # section 6.3
    yield posts("Transfer-Encoding: gzip, chunked\r\n", chunks)[0], {501}
    yield from refused(*posts("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunks), request("Transfer-Encoding: chunked\r\n", "@SESSION", "POST", version="HTTP/1.0", body=chunks))
    good = ("00002\r\n40\r\n000\r\n\r\n", "2;a\r\n40\r\n0\r\n\r\n", "2;a=b\r\n40\r\n0\r\n\r\n", '2;a="b;c\\"d"\r\n40\r\n0\r\n\r\n', "2\r\n40\r\n0;x=y\r\n\r\n", "2\r\n40\r\n0\r\nX: y\r\nZ:\r\n\r\n")
    yield from taken(*posts("Transfer-Encoding: chunked\r\n", *good))
    sizes = ("0x2", "+2", "-2", " 2", "", "g", "2\t")
    bad = [f"{size}\r\n40\r\n0\r\n\r\n" for size in sizes] + [
        "2\n40\r\n0\r\n\r\n", "2\r\n40\n0\r\n\r\n", "2\r\n40\r\n0\n\r\n", "2\r\n40\r\n0\r\n\n", "2\r40\r\n0\r\n\r\n", "3\r\n40\r\n0\r\n\r\n", "1\r\n40\r\n0\r\n\r\n", "fffffffffffffffff\r\n40\r\n", "10000000000000002\r\n40\r\n",
        "2;\r\n40\r\n0\r\n\r\n", "2;a\n40\r\n0\r\n\r\n", "2;a\rb\r\n40\r\n0\r\n\r\n", "2;a\0\r\n40\r\n0\r\n\r\n", '2;a="b\r\n40\r\n0\r\n\r\n', "2\r\n40\r\n0\r\nX : y\r\n\r\n", "2\r\n40\r\n0\r\nXy\r\n\r\n", "2\r\n40\r\n0\r\nX: y\r\n z\r\n\r\n",
        "2\r\n40\r\n0\r\nX: y\n\r\n", "2\r\n40\r\n0\r\nX: \0\r\n\r\n", "2\r\n40\r\n0\r\n0\r\n\r\n", "2\r\n40\r\n0\r\nGET / HTTP/1.1\r\n\r\n"]
    yield from refused(*posts("Transfer-Encoding: chunked\r\n", *bad))
    yield from ((posts(f"Expect: {value}\r\nContent-Length: 2\r\n", "40")[0], {417}) for value in ("x", "200-ok", "100-continue=x"))
    yield posts("Expect: 100-continue\r\nContent-Length: 2\r\n", "")[0], {100}
    yield posts("Expect: 100-continue\r\nContent-Length: 99999999\r\n", "")[0], {413}


def websockets():
    upgrade, connection, version, key = "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}"

    def ask(*lines, **more):
        return request("".join(f"{line}\r\n" for line in lines), **{"target": WEBSOCKET, **more})

    every = (upgrade, connection, version, key)
    opened = [ask(*every), ask("Upgrade: WebSocket", *every[1:]), ask(upgrade, "Connection: keep-alive, Upgrade", version, key), ask(upgrade, "Connection: keep-alive", connection, version, key), ask(*every, "Content-Length: 0")]
    opened += [ask(*every, f"Sec-WebSocket-Protocol: {names}") for names in ("chat", "chat, superchat", "Chat,chat")]
    opened += [ask(*every, f"Sec-WebSocket-Extensions: {names}") for names in ("permessage-deflate", "x", "permessage-deflate; x", "permessage-deflate; client_max_window_bits", 'a;b="c"')]
    yield from ((text, {101}) for text in opened)
    closed = [ask(connection, version, key), ask(upgrade, version, key), ask(upgrade, connection, version), ask(*every, version="HTTP/1.0"), ask(*every, key), ask(*every, version="HTTP/1.1", method="POST"), ask(*every, method="HEAD")]
    closed += [ask(upgrade, f"Connection: {value}", version, key) for value in ("keep-alive", "", "Upgrades", '"Upgrade"')]
    closed += [ask(f"Upgrade: {value}", *every[1:]) for value in ("h2c", "", "websockets", '"websocket"', "websocket/13")]
    keys = ("", "AAAA", KEY[:-1], KEY[:-2], KEY + "=", KEY.replace("Q==", "-=="), "dGhlIHNhbXBsZSBub25jZTE=", KEY + " x", "*" * 24, f"{KEY},{KEY}")
    closed += [ask(upgrade, connection, version, f"Sec-WebSocket-Key: {value}") for value in keys]
    closed += [ask(*every, f"Sec-WebSocket-Protocol: {names}") for names in ("chat,chat", "a b", "a/b", "(a)", '"chat"', "\xe4", "a;b")]
    closed += [ask(*every, target=target) for target in ("/socket.io/?transport=websocket", "/socket.io/?EIO=3&transport=websocket", POLLING, "/socket.io/?EIO=4&transport=x", WEBSOCKET + "&sid=nosuch")]
    yield from ((text, {400}) for text in closed)
    versions = ("8", "12", "14", "", "013", "13.0", "13, 8", "x", "1 3", "0", "256")
    yield from ((ask(upgrade, connection, f"Sec-WebSocket-Version: {value}", key), {400, 426}) for value in versions)


def queries():
    good = ("EI%4f=4&transport=polling", "EIO=%34&transport=poll%69ng", "EIO=3&EIO=4&transport=polling", "EIO=4&transport=x&transport=polling", "&&EIO=4&&transport=polling&&", "EIO=4&transport=polling&=x", "EIO=4&transport=polling&%", "EIO=4&transport=polling&j=0")
    yield from taken(*(request(target=f"/socket.io/?{query}") for query in good))
    bad = ("EIO=4&transport=polling%00", "EIO=4%00&transport=polling", "EIO=+4&transport=polling", "EIO=4&EIO=3&transport=polling", "EIO=4&transport=polling&transport=x", "EIO=4&transport=polling&sid=%00", "eio=4&transport=polling", "EIO=04&transport=polling",
           "EIO=4;transport=polling", "EIO=4&transport=Polling", "EIO=4&transport=__proto__", "EIO=4&transport=constructor", "?EIO=4&transport=polling", "EIO==4&transport=polling", "EIO&transport=polling", "transport=polling", "EIO=4", "")
    yield from ((request(target=f"/socket.io/?{query}"), {400}) for query in bad)


class Strict(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([SERVER, "--profile", "app", "--port", "0"], stdout=subprocess.PIPE, text=True)
        cls.port = int(cls.server.stdout.readline().split()[1])

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.stdout.close()
        assert cls.server.wait(WAIT_S) == 0, "the server did not end well"

    def first_answer(self, text):
        """Its status and its head."""
        with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as peer:
            got = b""
            try:
                peer.sendall(text.encode("latin1"))
            except OSError:
                pass  # refused before all of it was sent
            while b"\r\n\r\n" not in got:
                part = peer.recv(65536)
                if not part:
                    break
                got += part
        found = re.match(rb"HTTP/1\.1 (\d\d\d) ", got)
        return int(found.group(1)) if found else None, got

    def session(self):
        with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as peer:
            peer.sendall(request("Connection: close\r\n").encode())
            with peer.makefile("rb") as answer:
                return json.loads(answer.read().split(b"\r\n\r\n0", 1)[1])["sid"]

    def fault(self, case):
        text, wanted = case
        status, head = self.first_answer(text.replace("@SESSION", f"{POLLING}&sid={self.session()}") if "@SESSION" in text else text)
        if status not in wanted:
            return f"{text[:300]!r}: {status}, wanted {sorted(wanted)}"
        if status >= 200 and b"\r\nDate: " not in head:
            return f"{text[:300]!r}: no Date"
        return None

    def test_requests(self):
        cases = [*request_lines(), *hosts(), *fields(), *bodies(), *websockets(), *queries()]
        self.assertGreater(len(cases), 300)
        with ThreadPoolExecutor(8) as pool:
            faults = [fault for fault in pool.map(self.fault, cases) if fault]
        self.assertEqual(faults, [], "\n" + "\n".join(faults))


if __name__ == "__main__":
    unittest.main()
