"Measure the service under load, beside the bare model call: `python report/load_service.py`, on an idle machine."
import http.client
import os
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

CLIENTS, REQUESTS = 8, 4_000


def pictures():
    "Twenty digits as PNG files of 280x280 pixels, dark on light, as the page sends them."
    for pixels in load_data("mnist-sample").test_images[::50, 0].numpy():
        file = BytesIO()
        ImageOps.invert(Image.fromarray(pixels).resize((280, 280), Image.Resampling.BICUBIC)).save(file, "PNG")
        yield file.getvalue()


def row(what, seconds, wall, computing):
    "A line of the table, from the durations of all calls, that of the whole, and the processor's time for it."
    n, cuts = len(seconds), statistics.quantiles(seconds, n=100)
    print(f"| {what} | {n:,} | {n / wall:,.0f} | {1000 * cuts[49]:.1f} | {1000 * cuts[98]:.1f} "
          f"| {1000 * computing / n:.1f} |", flush=True)


def timed(call, items):
    "Duration of `call` on each item."
    for item in items:
        began = time.perf_counter()
        call(item)
        yield time.perf_counter() - began


def memory(pid="self"):
    "Memory of a process in MB: all that is resident, and its own part, without what is read from files of libraries."
    fields = dict(line.split(":") for line in open(f"/proc/{pid}/status"))
    return [int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon")]


def processor_time(pid):
    "Seconds that a process has computed."
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        began, computed = time.perf_counter(), time.process_time()
        row(what, list(timed(call, items)), time.perf_counter() - began, time.process_time() - computed)


def measure_service(contents):
    "Rows of the service as a process of its own; what there is to say of its start and its memory."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from sgan_nb.use.commands import serve_command; serve_command()"]
    began = time.perf_counter()
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()
        while socket.socket().connect_ex(("127.0.0.1", port)): time.sleep(0.02)
        [first] = client(port, contents, 1)
        ready, computed = time.perf_counter() - began - first, processor_time(server.pid)
        notes = [f"ready after {ready:.1f} s ({computed:.1f} s of the processor); first answer {1000 * first:.0f} ms"]
        done = 1 + len(client(port, contents, 200))
        for n in 1, CLIENTS:
            began, computed = time.perf_counter(), processor_time(server.pid)
            with ThreadPoolExecutor(n) as pool:
                parts = pool.map(lambda _: client(port, contents, REQUESTS // CLIENTS), range(n))
                seconds = [s for part in parts for s in part]
            row(f"service, {n} client{'s' * (n > 1)}", seconds, time.perf_counter() - began,
                processor_time(server.pid) - computed)
            done += len(seconds)
            notes.append("memory after {:,} requests: {:.0f} MB, of which {:.0f} MB its own".format(
                done, *memory(server.pid)))
        return notes
    finally: server.terminate()


def main():
    alone = memory()
    torch.set_num_threads(1)
    contents = list(pictures())
    machine = environment(torch.device("cpu"))
    print(f"{machine['hardware']}, torch {machine['torch']}, load {os.getloadavg()[0]:.1f} at the start\n")
    print("| what | calls | calls per second | p50 (ms) | p99 (ms) | processor (ms) |\n|---|---|---|---|---|---|")
    measure_calls(contents)
    notes = measure_service(contents)
    notes.append("memory of a process that has only imported this script (torch, numpy): {:.0f} MB, of which {:.0f} MB "
                 "its own".format(*alone))
    print("", *(f"- {note}" for note in notes), sep="\n")


if __name__ == "__main__": main()
