"""An HTTP server of saved models: rows as JSON, and the Open Inference Protocol."""
