"""What Multus asks of a Kubernetes API: pods and networks from files; it keeps the status.

Run as a program: ``api_server.py FOLDER PORT``.  ``FOLDER/pods`` and ``FOLDER/networks`` hold
``<namespace>.<name>.json``; the pod that a status update brings goes to ``FOLDER/status``, as it
came (Multus writes protobuf).
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_POD = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/?]+)(/status)?")
_NETWORK = re.compile(
    r"/apis/k8s\.cni\.cncf\.io/v1/namespaces/([^/]+)/network-attachment-definitions/([^/?]+)"
)


class _Api(BaseHTTPRequestHandler):
    folder: Path

    def do_GET(self) -> None:
        for pattern, kind in ((_POD, "pods"), (_NETWORK, "networks")):
            found = pattern.match(self.path)
            if found:
                path = self.folder / kind / f"{found[1]}.{found[2]}.json"
                if path.exists():
                    return self._answer(200, path.read_text())
                message = f'{kind} "{found[2]}" not found'
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}
        return self._answer(404, json.dumps({**status, "reason": "NotFound", "message": message}))

    def do_PUT(self) -> None:
        found = _POD.match(self.path)
        assert found
        (self.folder / "status").write_bytes(self._body())
        self._answer(200, (self.folder / "pods" / f"{found[1]}.{found[2]}.json").read_text())

    def do_POST(self) -> None:
        self._body()  # an event
        event = {"kind": "Event", "apiVersion": "v1", "metadata": {"name": "e", "namespace": "n"}}
        self._answer(201, json.dumps(event))

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def status_in(pod: bytes) -> str:
    """The annotation ``network-status`` in a pod's protobuf (a map entry: key 1, value 2)."""
    at = pod.index(b"k8s.v1.cni.cncf.io/network-status") + len("k8s.v1.cni.cncf.io/network-status")
    assert pod[at] == 0x12  # field 2, a string
    length, shift, at = 0, 0, at + 1
    while True:
        byte = pod[at]
        length |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return pod[at : at + length].decode()


if __name__ == "__main__":
    _Api.folder = Path(sys.argv[1])
    HTTPServer(("127.0.0.1", int(sys.argv[2])), _Api).serve_forever()
