"""One file per independent way to obtain a derivative; oracles never import each other."""
