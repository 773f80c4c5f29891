import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from diffkit.lab.compilation import keep_compiled_programs
assert "jax" not in sys.modules
keep_compiled_programs(sys.argv[1])
import jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.jit(lambda x: x * 3 + 1)(2.0).block_until_ready()
"""


def test_compiled_programs_are_left_in_the_folder(tmp_path: Path):
    folder = tmp_path / "jax"
    subprocess.run([sys.executable, "-c", CODE, str(folder)], check=True)
    assert list(folder.iterdir())


def test_nothing_is_kept_unless_it_is_asked_for():
    code = (
        "import diffkit.lab, jax; import sys; sys.exit(bool(jax.config.jax_compilation_cache_dir))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
