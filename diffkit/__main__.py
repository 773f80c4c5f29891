"""`python -m diffkit`: the command, where its script is not on the path."""

from diffkit.cli.main import command_line

if __name__ == "__main__":
    command_line()
