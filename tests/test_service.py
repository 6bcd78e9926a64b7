"The service as a process of its own: good requests, hostile ones, and what they leave behind."
import http.client
import json
import random
import re
import socket
import struct
import subprocess
import sys
import time
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgan_nb.use.commands import serve_command

ROOT = Path(__file__).resolve().parent.parent
PART = b'Content-Disposition: form-data; name="pictures"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def png(pixels):
    "Pixels as a PNG file."
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def form(*contents, part=PART):
    "Body of an upload, boundary x."
    return b"".join(b"--x\r\n" + part + content + b"\r\n" for content in contents) + b"--x--\r\n"


def cross(size=56):
    "A dark plus sign on white."
    pixels = np.full((size, size), 255, np.uint8)
    pixels[size // 2 - 3:size // 2 + 3, 8:-8] = pixels[8:-8, size // 2 - 3:size // 2 + 3] = 0
    return pixels


GOOD = form(png(cross()))


def request(server, method="POST", path="/predict", body=GOOD, headers=FORM, connection=None):
    "Status and body of an answer."
    connection = connection or http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try: connection.request(method, path, body, headers)
    except OSError: pass  # answered and closed before everything was sent
    answer = connection.getresponse()
    return answer.status, answer.read()


def answered(server, method, path, body):
    "Status and headers of an answer."
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try: connection.request(method, path, body, FORM if body else {})
    except OSError: pass  # answered and closed before everything was sent
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers


def raw(server, *pieces, pause=0.0):
    "Status of the answer to bytes sent as they are, None if the connection is closed without one."
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        except OSError: pass  # refused before everything was sent
        try: answer = connection.recv(65536)
        except ConnectionResetError: return None
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else None


def refused(status, body):
    "A 4xx with one sentence and nothing about the inside."
    detail = json.loads(body)["detail"]
    assert 400 <= status < 500 and isinstance(detail, str) and len(detail) < 400 and "\n" not in detail, (status, body)
    assert not re.search(r"Traceback|site-packages|\.py\b|/tmp|/home|/usr", detail), detail


def chunk(kind, data):
    "A PNG chunk."
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bombs():
    "Small files that stand for very large pictures or texts."
    header, rows = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0), zlib.compress(bytes(40_000_000), 9)
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    small = struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0)
    for kind in b"zTXt", b"iCCP":
        parts = (b"IHDR", small), (kind, b"name\0\0" + rows), (b"IDAT", zlib.compress(bytes(29 * 28))), (b"IEND", b"")
        yield b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    for kind in "GIF", "TIFF", "WEBP", "BMP":
        file = BytesIO()
        options = {"compression": "tiff_deflate"} if kind == "TIFF" else {}
        Image.new("L" if kind != "WEBP" else "RGB", (6000, 6000)).save(file, kind, **options)
        yield file.getvalue()
    screen, frame = struct.pack("<HH", 65535, 65535), struct.pack("<HHHH", 0, 0, 65535, 65535)
    yield b"GIF89a" + screen + b"\0\0\0," + frame + b"\0\2\2D\1\0;"
    yield b"P5 99999999 99999999 255\n"


def malformed():
    "(path, body, headers) of requests that must be refused."
    good = png(cross())
    for content in bombs(): yield "/predict", form(content), FORM
    for n in range(1, len(good) - 12, 3): yield "/predict", form(good[:n]), FORM
    for content in (b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0\nshowpage", b"<svg/>", bytes(1000),
                    b"II*\0" + bytes(90), b"RIFF\xff\xff\xff\xffWEBPVP8 "):
        yield "/predict", form(content), FORM
    yield "/predict", form(*40 * [good]), FORM
    yield "/predict", form(*1500 * [b""]), FORM
    yield "/predict", form(good, part=PART.replace(b"pictures", b"picture")), FORM
    yield "/predict", form(good, part=b'Content-Disposition: form-data; name="pictures"\r\n\r\n'), FORM
    surrogates = PART.replace(b"x.png", rb"\ud800\udfff../../../etc/passwd")
    escaped = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    yield "/predict", form(b"no picture", part=surrogates), escaped
    yield "/predict", form(b"no picture", part=PART.replace(b"x.png", b"\0\x1b[31m" + b"a" * 5000)), FORM
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "y" * 5000,
                 "application/json", "text/plain", "", "image/png", "multipart/form-data; boundary=x; charset=zip"):
        yield "/predict", GOOD if "charset" not in kind else form(b"-"), {"Content-Type": kind}
    for body in b"", b"--x", b"--x\r\n", b"--x--\r\n", b"\r\n" * 1000, GOOD[:100], GOOD.replace(b"\r\n", b"\n"):
        yield "/predict", body, FORM
    for body in (b"", b"{", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"pictures": []}', b'{"pictures": "x"}',
                 b'{"pictures": [1]}', b'{"pictures": ["x"]}', b'{"pictures": ["data:image/png;base64,"]}',
                 b'{"pictures": ["data:image/png;base64,!"]}', b'{"pictures": ["data:text/html;base64,aGVsbG8="]}',
                 b'{"pictures": ["data:image/png;base64,aGVsbG8="]}', b'{"pictures": ["\\ud800"]}'):
        yield "/predict", body, {"Content-Type": "application/json"}
    for query in "seen=maybe", "seen=", "seen=2", "seen[]=1&seen=x": yield f"/predict?{query}", GOOD, FORM
    for n in "0", "-1", "401", "1e9", "9" * 400, "NaN", "", "%00", "1.5", "[]", "%F0%9F%98%80":
        yield f"/generate?n={n}", None, {}
    for seed in "-1", str(2**32), "9" * 5000, "x", "%ff", "0x10": yield f"/generate?seed={seed}", None, {}
    for path in ("/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page.html", "/pretrained/config.json", "//",
                 "/%00", "/\\..\\..", "/model/", "/predict/x", "/docs/../../x", "/.git/config"):
        yield path, None, {}
    for path in ("../core.py", "%2e%2e/core.py", "..%2fcore.py", "%00", "a" * 5000, "/etc/passwd", "C:%5Cx", "%ff%fe"):
        yield f"/static-offline-docs/{path}", None, {}


def test_good_request(server):
    status, body = request(server)
    assert status == 200
    [row] = json.loads(body)["predictions"]
    assert set(row["probabilities"]) == set("0123456789") and abs(sum(row["probabilities"].values()) - 1) < 1e-5
    assert row["verdict"] == ("does not look" if row["unlike_training_data"] else "looks") + " like the training data"


def test_data_urls_in_json_get_the_same_answer(server):
    url = "data:image/png;base64," + b64encode(png(cross())).decode()
    status, body = request(server, body=json.dumps({"pictures": [url]}), headers={"Content-Type": "application/json"})
    [row], [same] = json.loads(body)["predictions"], json.loads(request(server)[1])["predictions"]
    assert status == 200 and row == same | {"name": "picture 1"}


def test_model_card_is_that_of_the_shipped_run(server):
    status, body = request(server, "GET", "/model", None, {})
    card, stored = json.loads(body), json.loads((ROOT / "sgan_nb/pretrained/results.json").read_text())
    assert status == 200
    assert (card["accuracy"], card["commit"]) == (stored["accuracy"], stored["environment"]["commit"])
    assert (card["weights"], card["n_labels"]) == ("float16", 100)


def test_every_answer_carries_the_five_headers(server):
    "Pages, numbers, pictures and errors; a page has a policy of its own."
    shared = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
              "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store"}
    plain = "default-src 'none'; frame-ancestors 'none'"
    for method, path, body, status in (("POST", "/predict", GOOD, 200), ("GET", "/generate?n=1", None, 200),
                                       ("GET", "/model", None, 200), ("GET", "/health", None, 200),
                                       ("GET", "/openapi.json", None, 200), ("POST", "/predict", form(b"no"), 400),
                                       ("GET", "/nothing", None, 404), ("PUT", "/predict", GOOD, 405),
                                       ("POST", "/predict", bytes(10_000_001), 413),
                                       ("GET", "/generate?n=0", None, 422), ("GET", "/", None, 200),
                                       ("GET", "/docs", None, 200)):
        found, headers = answered(server, method, path, body)
        assert found == status, path
        for name, value in shared.items(): assert headers.get_all(name) == [value], (path, name)
        [policy] = headers.get_all("Content-Security-Policy")
        assert policy == plain or path in ("/", "/docs")
        assert policy.startswith("default-src 'none'; ") and "frame-ancestors 'none'" in policy
        assert ("'unsafe-inline'" in policy) == (path == "/docs") and "'unsafe-eval'" not in policy


def test_malformed_requests_are_refused_in_one_sentence(server):
    before, requests, began = server.memory(), list(malformed()), time.monotonic()
    accepted = 0  # some of the damage is none: a cut after the last pixel, line ends, unknown character sets
    for path, body, headers in requests:
        status, answer = request(server, "GET" if body is None else "POST", path, body, headers)
        if status == 200: accepted += 1
        else: refused(status, answer)
    for method in "PUT", "DELETE", "PATCH", "OPTIONS": refused(*request(server, method, "/predict"))
    assert len(requests) > 100 and accepted < 12 and time.monotonic() - began < 120
    assert request(server)[0] == 200
    assert server.memory() < before + 60


def test_too_large_uploads_learn_why(server):
    "A connection that is closed with bytes unread is reset, and some answers go with it."
    for _ in range(30):
        status, answer = request(server, body=bytes(10_000_001))
        refused(status, answer)
        assert status == 413
    began = time.monotonic()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    head += b"Content-Length: 20000000\r\n"
    for line in b"", b"Expect: 100-continue\r\n":  # who waits for the answer gets it at once
        assert raw(server, head + line + b"\r\n", bytes(1000)) == 413
    assert time.monotonic() - began < 8


def test_broken_http_is_no_server_error(server):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    for pieces in ([b"\0" * 100], [b"GET\r\n\r\n"], [b"\x16\x03\x01" + bytes(50)],
                   [b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"], [head + b"Content-Length: -1\r\n\r\n"],
                   [head + b"Content-Length: x\r\n\r\n"],
                   [head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n--x--"],
                   [head + b"Content-Length: 99999999999999\r\n\r\n" + GOOD],
                   [head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], [head + b"X: " + b"y" * 200_000 + b"\r\n\r\n"],
                   [head + b"Content-Length: 5\r\n\r\n" + GOOD], [head + b"Content-Length: 0\r\n\r\n"],
                   [b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % bytes(range(128, 255))]):
        status = raw(server, *pieces)
        assert status is None or 400 <= status < 500, (pieces[0][:80], status)
    assert request(server)[0] == 200


def test_slow_and_endless_uploads_end(server):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GOOD[:99]), GOOD[:99])
    assert raw(server, chunked, *[b"%x\r\n" % 1_000_000 + bytes(1_000_000) + b"\r\n"] * 12) in (413, None)
    before, began = server.memory(), time.monotonic()
    with ThreadPoolExecutor(32) as pool:  # nobody else waits for those who stall or are slow
        stalled = [pool.submit(raw, server, head + b"Content-Length: 1000\r\n\r\n--x") for _ in range(29)]
        stalled.append(pool.submit(raw, server, head + b"Content-Length: %d\r\n\r\n" % len(GOOD), GOOD[:50]))
        stalled.append(pool.submit(raw, server, chunked, *[b"1\r\nx\r\n"] * 80, pause=0.1))
        assert pool.submit(request, server).result()[0] == 200
        assert {s.result() for s in stalled} == {408}
    assert time.monotonic() - began < 40
    assert server.memory() < before + 30


def test_damaged_uploads_never_break_it(server):
    "Six hundred good uploads with bytes changed, cut, doubled or put in."
    rng, statuses, before = random.Random(0), {}, server.memory()
    files = [png(cross(28))]
    for kind in "JPEG", "GIF", "WEBP", "TIFF", "BMP":
        files.append(BytesIO())
        Image.fromarray(cross(28)).save(files[-1], kind)
        files[-1] = files[-1].getvalue()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for i in range(600):
        content = bytearray(files[i % len(files)])
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(content))
            kind = rng.randrange(4)
            if kind == 0: content[at] = rng.randrange(256)
            elif kind == 1: del content[at:at + rng.randint(1, 20)]
            elif kind == 2: content[at:at] = rng.randbytes(rng.randint(1, 20))
            else: content[at:at] = content[at:at + 50]
            content = content or bytearray(b"x")
        status, body = request(server, body=form(bytes(content)), connection=connection)
        if status != 200: refused(status, body)
        statuses[status] = statuses.get(status, 0) + 1
    assert statuses.keys() <= {200, 400} and min(statuses.values()) > 30, statuses
    assert server.memory() < before + 60


def test_description_holds_under_schemathesis(server):
    # positive_data_acceptance is left out: bytes that fit the description need not be a picture
    command = [str(Path(sys.executable).parent / "st"), "run", f"{server.url}/openapi.json", "--checks", "all",
               "--exclude-checks", "positive_data_acceptance", "--max-examples", "25",
               "--phases", "examples,coverage,fuzzing", "--seed", "1", "--generation-deterministic", "--no-color",
               "--request-timeout", "20"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout
    assert request(server)[0] == 200


def test_too_many_at_once_are_told_to_come_back(crowded):
    body = form(png(np.kron(cross(100), np.ones((40, 40), np.uint8))))
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: request(crowded, body=body), range(48)))
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 429}, statuses
    for status, body in answers:
        if status == 429: refused(status, body)
    assert request(crowded)[0] == 200


def test_good_requests_leave_nothing_behind(server):
    body = form(png(cross(112)))
    def client(n):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        return {request(server, body=body, connection=connection)[0] for _ in range(n)}
    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(client, 4 * [125])) == {200}
        before = server.memory()
        assert set().union(*pool.map(client, 4 * [375])) == {200}
    assert server.memory() < before + 8  # a request leaves less than half of its picture's 12.5 kB


def test_settings_and_guide_agree():
    from sgan_nb.use.request_limits import ServiceSettings
    guide = (ROOT / "GUIDE.md").read_text(encoding="utf-8")
    for name, field in ServiceSettings.model_fields.items():
        default = {"run": "the shipped one", "origins": "none"}.get(name) or f"{field.default:,}"
        assert f"| `SGAN_{name.upper()}` | {default} | {field.description} |" in guide


@pytest.mark.parametrize("variable, value, text", [("SGAN_QUEUE", "none", "SGAN_QUEUE"),
                                                   ("SGAN_RUN", "/nowhere", "is not a run")])
def test_bad_settings_are_one_line(variable, value, text, monkeypatch, capfd):
    monkeypatch.setenv(variable, value)
    assert serve_command([]) == 1
    error = capfd.readouterr().err
    assert text in error and error.count("\n") == 1
