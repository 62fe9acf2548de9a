"""Tables, and what their columns mean. No torch."""
