"""The command diffkit: a light argparse front; heavy imports only when a command needs them."""
