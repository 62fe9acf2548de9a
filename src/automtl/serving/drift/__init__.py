"""Tell whether tomorrow's rows are still like those that a model was tested on (docs/drift.md)."""
