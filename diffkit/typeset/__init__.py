"""One layout tree for mathematics and its text, LaTeX, Typst and MathML emitters. Standard library only."""
