"""Files and frames of any kind become tables: every text and every type keeps what it says until a column is read."""
