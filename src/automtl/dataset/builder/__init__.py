"""Turn a table of any size into a folder of encoded rows, in bounded memory (docs/decisions/0017-prepare.md).

The source is read once. Each piece becomes a chunk of plain arrays in a working folder: ids as codes of a growing
dictionary, numbers as they are. All later steps read the chunks: rows are split, an encoder is fitted as to a table in
memory, and rows are encoded. Every step leaves files that appear whole, so that a killed run can go on.
"""
