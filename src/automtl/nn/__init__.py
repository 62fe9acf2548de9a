"""Parts of networks, which know neither files nor search."""
