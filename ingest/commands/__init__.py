"""What the command line can do; each command loads what it needs when it runs."""
