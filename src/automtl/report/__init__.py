"""Reports of runs, preparations and comparisons as text, pages and pictures, made from plain values only."""
