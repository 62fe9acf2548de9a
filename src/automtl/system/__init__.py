"""The machine: files, threads, memory, hardware. Knows no tables."""
