"""Models and boosted trees side by side."""
