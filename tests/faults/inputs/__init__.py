"""Random settings, schemas, architectures and tables: each is accepted, or refused by name."""
