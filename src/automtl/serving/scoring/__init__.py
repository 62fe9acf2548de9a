"""Score tables of any size in bounded memory (docs/predict.md).

The table is read in pieces, which are encoded one by one and cut into units: equal numbers of rows, which the network
sees in the batches that it would see of the whole table. A unit's scores are a file of a hidden folder beside the
output, so that a killed run goes on; at the end the units become the output, which appears whole.
"""
