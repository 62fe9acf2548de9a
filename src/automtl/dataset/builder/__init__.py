"""A table of any size to a folder of encoded rows, in bounded memory (docs/decisions/0017-prepare.md).

The source is read once. Each piece of it becomes a `chunk` of plain columns in a working folder: ids as codes of a
`dictionary` that grows, numbers as they are. All that follows reads those: the `split`, `statistics` of the training
rows, their `history`, and last the encoded rows. Every step leaves files that appear whole: a killed run goes on.
"""
