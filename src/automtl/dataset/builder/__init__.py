"""A table of any size to a folder of encoded rows, in bounded memory (docs/decisions/0017-prepare.md).

The source is read once. Each piece of it becomes a chunk of plain arrays in a working folder: ids as codes of a
dictionary that grows, numbers as they are. All that follows reads those: rows are split and an encoder is fitted as on
a table in memory, then rows are encoded. Every step leaves files that appear whole: a killed run goes on.
"""
