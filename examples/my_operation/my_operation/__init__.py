"""An installable package with one candidate operation for automtl."""
