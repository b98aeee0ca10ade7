"""One request over the wire, timed: gevent sockets, httptools, our own SSE scan; it knows no locust, judges nothing."""
