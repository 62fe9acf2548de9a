"""The machine: files, threads, memory, hardware; it knows no tables."""
