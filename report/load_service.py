"Measure the service under load, beside the bare model call: `python report/load_service.py`, on an otherwise idle machine."
import http.client
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import torch
from PIL import Image, ImageOps

from sgan_nb.baseline import predict
from sgan_nb.data import load_data
from sgan_nb.limits import read_settings
from sgan_nb.runs import environment
from sgan_nb.service import load_service, predict_uploads

CLIENTS, REQUESTS = 8, 10_000


def pictures():
    "Twenty digits as PNG files of 280x280 pixels, dark on light, as the page sends them."
    for pixels in load_data("mnist-sample").test_images[::50, 0].numpy():
        file = BytesIO()
        ImageOps.invert(Image.fromarray(pixels).resize((280, 280), Image.Resampling.BICUBIC)).save(file, "PNG")
        yield file.getvalue()


def row(what, seconds, wall):
    "A line of the table, from the durations of all calls and that of the whole."
    cuts = statistics.quantiles(seconds, n=100)
    print(f"| {what} | {len(seconds):,} | {len(seconds) / wall:,.0f} | {1000 * cuts[49]:.1f} | {1000 * cuts[98]:.1f} |", flush=True)


def timed(call, items):
    "Duration of `call` on each item."
    for item in items:
        began = time.perf_counter()
        call(item)
        yield time.perf_counter() - began


def resident(pid):
    "Memory of a process in MB."
    return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))


def client(port, contents, n):
    "Durations of n requests over one connection."
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def post(content):
        body = b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="digit.png"\r\n\r\n' + content + b"\r\n--x--\r\n"
        connection.request("POST", "/predict", body, {"Content-Type": "multipart/form-data; boundary=x"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    return list(timed(post, (contents[i % len(contents)] for i in range(n))))


def main():
    torch.set_num_threads(1)
    contents, service = list(pictures()), load_service(read_settings())
    images = load_data("mnist-sample").test_images[:1000]
    print(f"{environment(torch.device('cpu'))['hardware']}\n\n| what | calls | calls per second | p50 (ms) | p99 (ms) |\n|---|---|---|---|---|")
    for what, call, items in (("network alone, one image", lambda x: predict(service.model.discriminator, x), images.split(1)),
                              ("decode, fit, network", lambda x: predict_uploads(service, [("digit.png", x)], False), contents * 50)):
        list(timed(call, items[:50]))
        began = time.perf_counter()
        row(what, list(timed(call, items)), time.perf_counter() - began)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", "from sgan_nb.commands import serve_command; serve_command()", "--port", str(port)], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        while socket.socket().connect_ex(("127.0.0.1", port)): time.sleep(0.1)
        client(port, contents, 200)
        memory = [resident(server.pid)]
        for n in 1, CLIENTS:
            began = time.perf_counter()
            with ThreadPoolExecutor(n) as pool:
                seconds = [s for part in pool.map(lambda _: client(port, contents, REQUESTS // CLIENTS), range(n)) for s in part]
            row(f"service, {n} client{'s' * (n > 1)}", seconds, time.perf_counter() - began)
            memory.append(resident(server.pid))
        print(f"\nmemory of the service: {', '.join(f'{m:.0f} MB' for m in memory)} (after 200, {200 + REQUESTS // CLIENTS:,}, {200 + REQUESTS // CLIENTS + REQUESTS:,} requests)")
    finally: server.terminate()


if __name__ == "__main__": main()
