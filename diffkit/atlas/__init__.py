"""The survey of a library's derivatives."""
