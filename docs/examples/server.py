# SPDX-License-Identifier: MIT
"""server.py - a web server for the demonstration, on a free loopback port.

It serves folders of real pages, and on purpose some that no reader of pages
can be glad of: one that is missing, one that never answers, and so on; and
some that are marked to crash their parser, see titles_purpose.c. Both
run-titles and the tests use it, inside their own process, so that there is
nothing to stop when they end.
"""
import http.server
import os
import pathlib
import socket
import threading
import urllib.parse

MIB = 1 << 20

# Manuals that Debian packages ship; packages.txt names the packages.
MANUALS = [
    "/usr/share/doc/m4",
    "/usr/share/gtk-doc/html/atk",
    "/usr/share/gtk-doc/html/cairo",
    "/usr/share/gtk-doc/html/gio",
    "/usr/share/gtk-doc/html/glib",
    "/usr/share/gtk-doc/html/gobject",
]


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body are written apart; the second would wait for the first.
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, *_):
        """Nobody reads it."""

    def translate_path(self, path):
        """/glib/some/page.html lies in the folder that is called glib."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(path).path)
        name, _, rest = path.lstrip("/").partition("/")
        folder = self.server.folders.get(name)
        if folder is None or ".." in rest.split("/"):
            return os.devnull + "/missing"
        return str(folder / rest.lstrip("/"))

    def do_GET(self):
        prefix = "/on-purpose/"
        if not self.path.startswith(prefix):
            super().do_GET()
            return
        path = urllib.parse.urlsplit(self.path).path
        name = path.removeprefix(prefix).replace(".", "_")
        getattr(self, "get_" + name, self.get_missing_html)()

    def begin(self, kind, length=None):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, kind, body):
        self.begin(kind, len(body))
        self.wfile.write(body)

    # What is served on purpose.

    def get_missing_html(self):
        self.send_error(404)

    def get_broken_html(self):
        self.send_error(500)

    def get_plain_txt(self):
        self.send("text/plain", b"no page, just text\n")

    def get_bare_html(self):
        self.send("text/html", b"<p>Neither heading nor title.\n")

    def get_large_html(self):
        self.begin("text/html", 64 * MIB)
        self.write_much()

    def get_endless_html(self):
        self.begin("text/html")
        self.write_much()

    def write_much(self):
        """64 MiB, unless the reader hangs up, as it should."""
        self.close_connection = True
        try:
            for _ in range(64):
                self.wfile.write(b"<p>more</p>\n".ljust(MIB))
        except OSError:
            pass

    def get_marked_html(self):
        """marked.html?null has titles dereference NULL, and so on."""
        deed = urllib.parse.urlsplit(self.path).query
        self.send("text/html", (
            '<meta name="on-purpose" content="%s">\n'
            "<h1>Nobody gets here</h1>\n" % deed).encode())

    def get_silent_html(self):
        """Says nothing until the reader hangs up."""
        self.close_connection = True
        self.server.silent.set()
        try:
            self.connection.recv(1)
        except OSError:
            pass


class Server(http.server.ThreadingHTTPServer):
    """with Server([folder, ...]) as server: ..."""
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, folders):
        folders = [pathlib.Path(folder) for folder in folders]
        self.folders = {folder.name: folder for folder in folders}
        self.silent = threading.Event()  # set once silent.html was asked for
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server_port
        # Bound and never listening: connecting to it is refused for sure.
        self.closed = socket.socket()
        self.closed.bind(("127.0.0.1", 0))

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self.closed.close()

    def handle_error(self, *_):
        """A reader that hangs up early is no news here."""

    def pages(self):
        """The URL of every page in the folders."""
        paths = [(name + "/" + str(page.relative_to(folder)))
                 for name, folder in self.folders.items()
                 for page in sorted(folder.rglob("*.html"))]
        return [self.url + "/" + urllib.parse.quote(path) for path in paths]

    def failures(self):
        """Pages that fail on purpose: URL -> kind, as titles calls it."""
        purpose = self.url + "/on-purpose/"
        return {
            purpose + "missing.html": "HTTP error",
            purpose + "broken.html": "HTTP error",
            purpose + "plain.txt": "not HTML",
            purpose + "bare.html": "no heading",
            purpose + "large.html": "too large",
            purpose + "endless.html": "too large",
            purpose + "silent.html": "timed out",
            "http://127.0.0.1:%d/" % self.closed.getsockname()[1]:
                "unreachable",
        }

    def crashes(self):
        """Pages that are marked to crash their parser: as failures(), but of
        titles --mode processes."""
        marked = self.url + "/on-purpose/marked.html?"
        return {
            marked + "null": "crashed",
            marked + "loop": "timed out",
            marked + "memory": "crashed",
            marked + "exit": "crashed",
            marked + "kill": "crashed",
        }
