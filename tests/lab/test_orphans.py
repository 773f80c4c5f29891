import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process that its parent died"
)
def test_a_process_inside_one_native_call_dies_with_its_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import ctypes, os\n"
        "from multiprocessing import get_context\n"
        "from diffkit.lab.orphans import end_with_parent\n"
        "def work(pipe):\n"
        "    end_with_parent()\n"
        "    pipe.send(os.getpid())\n"
        "    ctypes.PyDLL(None).sleep(60)  # keeps the lock of the interpreter\n"
        "if __name__ == '__main__':\n"
        "    context = get_context('spawn')\n"
        "    mine, theirs = context.Pipe()\n"
        "    context.Process(target=work, args=(theirs,)).start()\n"
        "    print(mine.recv(), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n",
        encoding="utf-8",
    )
    ran = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, timeout=60)
    status = Path(f"/proc/{int(ran.stdout)}/stat")
    deadline = time.monotonic() + 10
    while _is_running(status) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_running(status)


def _is_running(status):
    with contextlib.suppress(OSError):
        return status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return False
