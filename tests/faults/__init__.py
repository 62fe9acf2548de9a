"""Work that is stopped, killed or hindered, and what is left of it."""
