"Tests run without a display, on one thread, and never touch the user's cache."
import os

import pytest

os.environ["MPLBACKEND"] = "Agg"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads are ten times slower on a busy machine


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory):
    "A fresh cache folder, for this process and the ones it starts."
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder
