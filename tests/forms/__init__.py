"""One table, many storage forms: random columns of Python values, the types that store them, and files and frames."""
