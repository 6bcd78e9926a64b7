"Commands in processes of their own, forked from one that has imported what they need: they start at once."
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["sgan_nb.training", "sgan_nb.use.train_command", "torch._dynamo",
                              "torch.distributed.run", "lightning_fabric", "uvicorn", "sgan_nb.use.service",
                              "sgan_nb.use.labelling", "sgan_nb.methods.picture_features",
                              "sgan_nb.methods.spreading"])


def _call(command, arguments, files, largest, environment):
    "Call a command with its output in two files and, if given, a size in bytes that no file may exceed."
    os.environ.update(environment)
    for stream, file in zip((1, 2), files): os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even where the tests run in the background
    if largest:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.exit(command(arguments))


class Started:
    "A command under way, with the methods of `subprocess.Popen` that the tests use."
    def __init__(self, command, arguments, largest=0, environment=()):
        self.folder = tempfile.TemporaryDirectory()
        self.files = [Path(self.folder.name) / name for name in ("out", "err")]
        arguments = command, list(map(str, arguments)), self.files, largest, environment
        self.process = FORKS.Process(target=_call, args=arguments)
        self.process.start()

    @property
    def returncode(self): return self.process.exitcode

    def poll(self): return self.process.exitcode

    def send_signal(self, number): os.kill(self.process.pid, number)

    def terminate(self): self.process.terminate()

    def kill(self): self.process.kill()

    def wait(self, timeout):
        "Exit code; a process that is still running is killed, or the end of the tests would wait for it."
        self.process.join(timeout)
        running = self.process.is_alive()
        if running: self.kill()
        assert not running, "still running"
        return self.returncode

    def communicate(self, timeout=180):
        "Standard output and standard error, once the command has ended."
        self.wait(timeout)
        return [file.read_text() if file.exists() else "" for file in self.files]
