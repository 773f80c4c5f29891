"""Compiled XLA programs kept on disk, so that a second run of an experiment compiles nothing."""

from pathlib import Path

FOLDER = Path(".cache/jax")


def keep_compiled_programs(folder: str | Path = FOLDER) -> None:
    """Switch on JAX's persistent compilation cache; a command does it, never the library.

    Args:
        folder: Where the programs lie; made when the first one is written.
    """
    import jax

    jax.config.update("jax_compilation_cache_dir", str(Path(folder).resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
