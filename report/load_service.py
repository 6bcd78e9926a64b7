"Measure the service under load, beside the bare model call: `python report/load_service.py`, on an idle machine."
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
from sgan_nb.runs.devices import environment
from sgan_nb.use.answers import load_service, predict_uploads
from sgan_nb.use.request_limits import read_settings

CLIENTS, REQUESTS = 8, 10_000


def pictures():
    "Twenty digits as PNG files of 280x280 pixels, dark on light, as the page sends them."
    for pixels in load_data("mnist-sample").test_images[::50, 0].numpy():
        file = BytesIO()
        ImageOps.invert(Image.fromarray(pixels).resize((280, 280), Image.Resampling.BICUBIC)).save(file, "PNG")
        yield file.getvalue()


def row(what, seconds, wall):
    "A line of the table, from the durations of all calls and that of the whole."
    n, cuts = len(seconds), statistics.quantiles(seconds, n=100)
    print(f"| {what} | {n:,} | {n / wall:,.0f} | {1000 * cuts[49]:.1f} | {1000 * cuts[98]:.1f} |", flush=True)


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
        head = b'--x\r\nContent-Disposition: form-data; name="pictures"; filename="digit.png"\r\n\r\n'
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("POST", "/predict", head + content + b"\r\n--x--\r\n", form)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    return list(timed(post, (contents[i % len(contents)] for i in range(n))))


def measure_calls(contents):
    "Rows of the network and of a whole prediction, without HTTP."
    service, images = load_service(read_settings()), load_data("mnist-sample").test_images[:1000]

    def network(image):
        predict(service.model.discriminator, image)

    def answer(content):
        predict_uploads(service, [("digit.png", content)], False)

    for what, call, items in (("network alone, one image", network, images.split(1)),
                              ("decode, fit, network", answer, contents * 50)):
        list(timed(call, items[:50]))
        began = time.perf_counter()
        row(what, list(timed(call, items)), time.perf_counter() - began)


def measure_service(contents):
    "Rows of the service as a process of its own; (requests so far, memory in MB) after each."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from sgan_nb.use.commands import serve_command; serve_command()"]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        while socket.socket().connect_ex(("127.0.0.1", port)): time.sleep(0.1)
        done = len(client(port, contents, 200))
        memory = [(done, resident(server.pid))]
        for n in 1, CLIENTS:
            began = time.perf_counter()
            with ThreadPoolExecutor(n) as pool:
                parts = pool.map(lambda _: client(port, contents, REQUESTS // CLIENTS), range(n))
                seconds = [s for part in parts for s in part]
            row(f"service, {n} client{'s' * (n > 1)}", seconds, time.perf_counter() - began)
            done += len(seconds)
            memory.append((done, resident(server.pid)))
        return memory
    finally: server.terminate()


def main():
    torch.set_num_threads(1)
    contents = list(pictures())
    print(f"{environment(torch.device('cpu'))['hardware']}\n")
    print("| what | calls | calls per second | p50 (ms) | p99 (ms) |\n|---|---|---|---|---|")
    measure_calls(contents)
    memory = measure_service(contents)
    sizes, counts = ", ".join(f"{size:.0f} MB" for _, size in memory), ", ".join(f"{n:,}" for n, _ in memory)
    print(f"\nmemory of the service: {sizes} (after {counts} requests)")


if __name__ == "__main__": main()
